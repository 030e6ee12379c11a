// What every page does: follow the events, keep its live regions and its times up to date, send its buttons' actions.
import { followEvents } from "./events.js";
import { keepRegionsLive } from "./regions.js";
import { keepTimes } from "./times.js";
import { sendActions } from "./actions.js";

keepTimes();
sendActions();
keepRegionsLive();
followEvents();
