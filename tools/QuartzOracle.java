import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Instant;
import java.util.Date;
import java.util.TimeZone;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.quartz.CronExpression;

/**
 * Asks the real Quartz for fire times. Reads lines of "expression TAB zone TAB start TAB count"; answers each with a line
 * of "ok" and the fire times as ISO instants, "refused" and Quartz's message, or "hangs", divided by tabs.
 */
public class QuartzOracle {
    static final int PATIENCE_S = 5;

    public static void main(String[] args) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] parts = line.split("\t", -1);
            CompletableFuture<String> answer = CompletableFuture.supplyAsync(
                () -> answer(parts[0], parts[1], parts[2], Integer.parseInt(parts[3])),
                question -> { Thread asked = new Thread(question); asked.setDaemon(true); asked.start(); });
            try {
                System.out.println(answer.get(PATIENCE_S, TimeUnit.SECONDS));
            } catch (TimeoutException impatience) {
                System.out.println("hangs");
            }
        }
        System.exit(0);
    }

    static String answer(String expression, String zone, String start, int count) {
        StringBuilder answer = new StringBuilder("ok");
        try {
            CronExpression cron = new CronExpression(expression);
            cron.setTimeZone(TimeZone.getTimeZone(zone));
            Date at = Date.from(Instant.parse(start));
            for (int fire = 0; fire < count; fire++) {
                at = cron.getNextValidTimeAfter(at);
                if (at == null) {
                    break;
                }
                answer.append('\t').append(at.toInstant());
            }
        } catch (Exception refusal) {
            return "refused\t" + String.valueOf(refusal.getMessage()).replaceAll("\\s+", " ");
        }
        return answer.toString();
    }
}
