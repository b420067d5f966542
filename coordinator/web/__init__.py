"""The pages and the API. They read what is published through `ports.Reader` and hand statements to the intake."""
