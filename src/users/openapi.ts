import type { ZodOpenApiPathsObject } from 'zod-openapi';
import type { Config } from '../config.ts';
import { bodyProblems, json, jsonRequest, problemResponses } from '../docs/describe.ts';
import {
  AccessToken,
  Credentials,
  KeySet,
  newUser,
  passwordChange,
  passwordReset,
  RefreshRequest,
  SessionId,
  SessionList,
  User,
} from './schema.ts';

const tags = ['auth'];
const bearer = [{ bearer: [] }];

/** The /auth paths of the OpenAPI document. */
export function userPaths(config: Pick<Config, 'PASSWORD_MIN_LENGTH'>): ZodOpenApiPathsObject {
  return {
    ...accountPaths(newUser(config)),
    ...sessionPaths,
    ...passwordPaths(config),
    ...keyPaths,
  };
}

function accountPaths(NewUser: ReturnType<typeof newUser>): ZodOpenApiPathsObject {
  return {
    '/auth/register': {
      post: {
        operationId: 'register',
        tags,
        summary: 'Create an account',
        security: [],
        requestBody: jsonRequest(NewUser),
        responses: {
          ...bodyProblems,
          201: json(User, 'The account'),
          ...problemResponses('email-taken', 'invalid-request', 'quota-exceeded', 'overloaded'),
        },
      },
    },
    '/auth/me': {
      get: {
        operationId: 'getAccount',
        tags,
        summary: 'Show the account of the access token',
        security: bearer,
        responses: { 200: json(User, 'The account'), ...problemResponses('invalid-token') },
      },
    },
  };
}

function passwordPaths(config: Pick<Config, 'PASSWORD_MIN_LENGTH'>): ZodOpenApiPathsObject {
  return {
    '/auth/password': {
      post: {
        operationId: 'changePassword',
        tags,
        summary: 'Change the password, and end all other sessions of the user',
        security: bearer,
        requestBody: jsonRequest(passwordChange(config)),
        responses: {
          ...bodyProblems,
          204: { description: 'The password has changed' },
          ...problemResponses(
            'invalid-token',
            'wrong-password',
            'invalid-request',
            'quota-exceeded',
            'overloaded',
          ),
        },
      },
    },
    '/auth/password-reset': {
      post: {
        operationId: 'resetPassword',
        tags,
        summary: 'Set a new password with a token that staff gave you, and end all sessions',
        security: [],
        requestBody: jsonRequest(passwordReset(config)),
        responses: {
          ...bodyProblems,
          204: { description: 'The password has changed' },
          ...problemResponses(
            'invalid-reset-token',
            'invalid-request',
            'quota-exceeded',
            'overloaded',
          ),
        },
      },
    },
  };
}

const keyPaths: ZodOpenApiPathsObject = {
  '/.well-known/jwks.json': {
    get: {
      operationId: 'listKeys',
      tags,
      summary: 'The public keys of access tokens, as a JSON Web Key Set',
      security: [],
      responses: { 200: json(KeySet, 'The keys; an empty list without settings for keys') },
    },
  },
};

const sessionPaths: ZodOpenApiPathsObject = {
  '/auth/login': {
    post: {
      operationId: 'logIn',
      tags,
      summary: 'Log in. The reply sets the refresh token as an HttpOnly cookie',
      security: [],
      requestBody: jsonRequest(Credentials),
      responses: {
        ...bodyProblems,
        200: json(AccessToken, 'An access token'),
        ...problemResponses(
          'origin-not-allowed',
          'invalid-credentials',
          'invalid-request',
          'quota-exceeded',
          'overloaded',
        ),
      },
    },
  },
  '/auth/refresh': {
    post: {
      operationId: 'refreshSession',
      tags,
      summary:
        'Exchange the refresh token (cookie or body) for its successor and a new access token',
      security: [{ refresh_cookie: [] }, {}],
      requestBody: jsonRequest(RefreshRequest, false),
      responses: {
        ...bodyProblems,
        200: json(AccessToken, 'A new access token'),
        ...problemResponses(
          'origin-not-allowed',
          'invalid-token',
          'invalid-request',
          'quota-exceeded',
          'unavailable',
        ),
      },
    },
  },
  '/auth/logout': {
    post: {
      operationId: 'logOut',
      tags,
      summary: 'End the session of the refresh token (cookie or body)',
      security: [{ refresh_cookie: [] }, {}],
      requestBody: jsonRequest(RefreshRequest, false),
      responses: {
        ...bodyProblems,
        204: { description: 'The session has ended' },
        ...problemResponses('origin-not-allowed', 'invalid-request'),
      },
    },
  },
  '/auth/logout-everywhere': {
    post: {
      operationId: 'logOutEverywhere',
      tags,
      summary: 'End every session of the user',
      security: bearer,
      responses: {
        204: { description: 'Every session has ended' },
        ...problemResponses('invalid-token'),
      },
    },
  },
  '/auth/sessions': {
    get: {
      operationId: 'listSessions',
      tags,
      summary: 'List the sessions of the user, the newest first; at most 100',
      security: bearer,
      responses: { 200: json(SessionList, 'The sessions'), ...problemResponses('invalid-token') },
    },
  },
  '/auth/sessions/{id}': {
    delete: {
      operationId: 'endSession',
      tags,
      summary: 'End one session of the user, and its access tokens',
      security: bearer,
      requestParams: { path: SessionId },
      responses: {
        204: { description: 'The session has ended' },
        ...problemResponses('invalid-token', 'session-not-found', 'invalid-request'),
      },
    },
  },
};
