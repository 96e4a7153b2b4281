# Stands in for haproxy: Debian's package, with its user haproxy.
FROM drill-debian
USER haproxy
CMD ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
