# The image of every process. docker compose runs it as migrate, api and worker.
FROM node:26-bookworm-slim AS deps
WORKDIR /app
COPY package.json package-lock.json ./
# The viewer of /docs is one file. Keep that file, and not its package, which has 260 dependencies.
RUN npm ci --ignore-scripts \
 && cp node_modules/@scalar/api-reference/dist/browser/standalone.js /tmp/viewer.js \
 && npm ci --omit=dev --ignore-scripts \
 && mkdir -p node_modules/@scalar/api-reference/dist/browser \
 && mv /tmp/viewer.js node_modules/@scalar/api-reference/dist/browser/standalone.js

FROM node:26-bookworm-slim
WORKDIR /app
COPY --from=deps /app/node_modules node_modules
COPY package.json ./
COPY sql sql
COPY jobs jobs
COPY src src
ENV HOST=0.0.0.0 \
    NODE_OPTIONS="--max-old-space-size=384 --max-semi-space-size=32"
USER node
EXPOSE 8000
CMD ["node", "src/api.ts"]
