"""The backend on as many machines as there are, by Ray, which nothing else imports."""
