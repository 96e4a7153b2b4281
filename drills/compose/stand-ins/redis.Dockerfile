# Stands in for redis: Debian's package redis-server, with its user redis.
FROM drill-debian
RUN mkdir -p /data && chown redis:redis /data
WORKDIR /data
CMD ["redis-server"]
