"""`edgetally doctor`: looks at a coordinator from outside and says what is wrong and what to do. Changes nothing."""
