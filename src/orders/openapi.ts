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
import { OrderEvents } from './events.ts';
import { MyOrdersFilter, NewOrder, Order, OrderFilter, OrderId, OrderPage } from './schema.ts';

const common = { tags: ['orders'], security: [{ bearer: [] }] };

const place: ZodOpenApiOperationObject = {
  ...common,
  operationId: 'placeOrder',
  summary: 'Place an order. The reply is sent after the commit of the order and its job',
  requestParams: { header: idempotencyKey },
  requestBody: jsonRequest(NewOrder),
  responses: {
    ...bodyProblems,
    201: {
      ...json(Order, 'The order, PENDING'),
      headers: idempotentReplayed.extend({ Location: z.string() }),
    },
    400: problemResponse('The body is not valid JSON', problems['invalid-idempotency-key'].title),
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
  operationId: 'cancelOrder',
  summary: 'Cancel an order that is PENDING, and its job',
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

function alias(
  operation: ZodOpenApiOperationObject,
  operationId: string,
  summary: string,
): ZodOpenApiOperationObject {
  return { ...operation, operationId, summary, deprecated: true };
}

/** The /orders paths of the OpenAPI document. */
export const orderPaths: ZodOpenApiPathsObject = {
  '/orders': {
    post: place,
    get: {
      ...common,
      operationId: 'listOrders',
      summary: 'List your orders, newest first',
      requestParams: { query: OrderFilter },
      responses: {
        200: json(OrderPage, 'A page of orders'),
        ...problemResponses('invalid-token', 'invalid-request', 'quota-exceeded', 'unavailable'),
      },
    },
  },
  '/orders/{id}': {
    get: {
      ...common,
      operationId: 'getOrder',
      summary: 'Show one of your orders',
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
      operationId: 'listOrderEvents',
      summary: 'List the events of an order, oldest first',
      requestParams: { path: OrderId },
      responses: {
        200: json(OrderEvents, 'The events'),
        ...problemResponses('invalid-token', 'order-not-found', 'invalid-request'),
      },
    },
  },
  '/orders/create': { post: alias(place, 'createOrder', 'Alias of POST /orders') },
  '/orders/my-orders': {
    get: {
      ...common,
      operationId: 'listMyOrders',
      summary:
        'List your newest 100 orders as a plain array. The Link header leads to the next page',
      deprecated: true,
      requestParams: { query: MyOrdersFilter },
      responses: {
        200: json(z.array(Order), 'The orders'),
        ...problemResponses('invalid-token', 'invalid-request', 'quota-exceeded', 'unavailable'),
      },
    },
  },
  '/orders/{id}/cancel': {
    patch: alias(cancel, 'patchOrderCancelled', 'Alias of PUT /orders/{id}/cancellation'),
  },
};
