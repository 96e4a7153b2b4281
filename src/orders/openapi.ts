import { z } from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi';
import {
  bodyProblems,
  idempotencyKey,
  idempotentReplayed,
  json,
  jsonRequest,
  problemResponse,
  problemResponses,
} from '../docs/describe.ts';
import { problems } from '../http/problem.ts';
import {
  MyOrdersFilter,
  NewOrder,
  Order,
  OrderEvents,
  OrderFilter,
  OrderId,
  OrderPage,
} from './schema.ts';

const common = { tags: ['orders'], security: [{ bearer: [] }] };

const place: ZodOpenApiOperationObject = {
  ...common,
  summary: 'Place an order. A 201 means that the order and its job are committed.',
  requestParams: { header: idempotencyKey },
  requestBody: jsonRequest(NewOrder),
  responses: {
    ...bodyProblems,
    201: {
      ...json(Order, 'The order, PENDING'),
      headers: idempotentReplayed.extend({ Location: z.string() }),
    },
    400: problemResponse('Not valid JSON', problems['invalid-idempotency-key'].title),
    ...problemResponses(
      'invalid-token',
      'idempotency-key-in-use',
      'invalid-request',
      'idempotency-key-reused',
      'quota-exceeded',
      'unavailable',
    ),
  },
};

const cancel: ZodOpenApiOperationObject = {
  ...common,
  summary: 'Cancel an order that no worker has taken yet, together with its job',
  requestParams: { path: OrderId, header: idempotencyKey },
  responses: {
    200: { ...json(Order, 'The order, CANCELLED'), headers: idempotentReplayed },
    ...problemResponses(
      'invalid-idempotency-key',
      'invalid-token',
      'order-not-found',
      'order-not-cancellable',
      'idempotency-key-in-use',
      'invalid-request',
      'idempotency-key-reused',
      'quota-exceeded',
    ),
  },
};

/** /orders in the OpenAPI document. */
export const orderPaths: ZodOpenApiPathsObject = {
  '/orders': {
    post: place,
    get: {
      ...common,
      summary: 'List your orders, newest first',
      requestParams: { query: OrderFilter },
      responses: {
        200: json(OrderPage, 'A page'),
        ...problemResponses('invalid-token', 'invalid-request', 'quota-exceeded', 'unavailable'),
      },
    },
  },
  '/orders/{id}': {
    get: {
      ...common,
      summary: 'One of your orders',
      requestParams: { path: OrderId },
      responses: {
        200: json(Order, 'The order'),
        ...problemResponses('invalid-token', 'order-not-found', 'invalid-request'),
      },
    },
  },
  '/orders/{id}/cancellation': { put: cancel },
  '/orders/{id}/events': {
    get: {
      ...common,
      summary: 'All events of an order, oldest first',
      requestParams: { path: OrderId },
      responses: {
        200: json(OrderEvents, 'The events'),
        ...problemResponses('invalid-token', 'order-not-found', 'invalid-request'),
      },
    },
  },
  '/orders/create': { post: { ...place, summary: 'Alias of POST /orders', deprecated: true } },
  '/orders/my-orders': {
    get: {
      ...common,
      summary: 'Your newest 100 orders, as a plain array. The Link header leads to the next page.',
      deprecated: true,
      requestParams: { query: MyOrdersFilter },
      responses: {
        200: json(z.array(Order), 'Orders'),
        ...problemResponses('invalid-token', 'invalid-request', 'quota-exceeded', 'unavailable'),
      },
    },
  },
  '/orders/{id}/cancel': {
    patch: { ...cancel, summary: 'Alias of PUT /orders/{id}/cancellation', deprecated: true },
  },
};
