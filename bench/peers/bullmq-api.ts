/*
 * Fastify + pg + BullMQ: commits the order, then adds its job to Redis. It is not transactional: if the API crashes
 * between the two, or Redis is down, the order is never processed.
 */
import jwt from '@fastify/jwt';
import { Queue } from 'bullmq';
import fastify from 'fastify';
import { Pool } from 'pg';
import { INSERT_ORDER, orderValues, pendingOrder, type NewOrder } from './orders.ts';
import { listenForBench, runPeer, setting } from './serving.ts';
import { API_POOL_SIZE, JOB_OPTIONS, QUEUE } from './bullmq-settings.ts';

const text = { type: 'string' } as const;

const body = {
  type: 'object',
  required: ['product_name', 'amount'],
  additionalProperties: false,
  properties: {
    product_name: { type: 'string', minLength: 1, maxLength: 200 },
    amount: { type: 'number', exclusiveMinimum: 0, exclusiveMaximum: 1e12 },
  },
};

// With a schema of the reply, Fastify serializes the reply with generated code.
const placed = {
  type: 'object',
  properties: {
    id: text,
    status: text,
    user_id: text,
    product_name: text,
    amount: text,
    currency: text,
    metadata: { type: 'object', additionalProperties: true },
    created_at: text,
    updated_at: text,
  },
};

await runPeer(async () => {
  const pool = new Pool({ connectionString: setting('DATABASE_URL'), max: API_POOL_SIZE });
  const queue = new Queue<{ order_id: string }>(QUEUE, {
    connection: { url: setting('REDIS_URL') },
    defaultJobOptions: JOB_OPTIONS,
  });
  const app = fastify({ logger: false });
  await app.register(jwt, {
    secret: setting('JWT_SECRET'),
    verify: { algorithms: ['HS256'], cache: true },
  });
  app.post<{ Body: NewOrder }>(
    '/orders',
    {
      onRequest: (request) => request.jwtVerify<object>(),
      schema: { body, response: { 201: placed } },
    },
    async (request, reply) => {
      const order = pendingOrder((request.user as { sub: string }).sub, request.body);
      await pool.query({ name: 'place-order', text: INSERT_ORDER, values: orderValues(order) });
      await queue.add('complete-order', { order_id: order.id });
      return reply.code(201).send(order);
    },
  );
  await app.ready();
  await queue.waitUntilReady();
  const stopListening = await listenForBench(app.server);
  return async () => {
    await stopListening();
    await queue.close();
    await pool.end();
  };
});
