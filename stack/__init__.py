"""The platform of docker-compose.yml from outside: started, asked and shown. Needs Python 3.11 and docker, and no package."""
