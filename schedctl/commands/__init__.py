"""One module per kind of object; a module is imported only when its commands are used."""
