/*
 * The messages that the service publishes on Redis.
 */
import type { ExecutionContext } from 'ava';
import { Redis } from 'ioredis';

/** Subscribes to channels until the test ends. Returns the list of messages, which grows; the oldest is first. */
export async function subscribe(t: ExecutionContext, url: string, ...channels: string[]) {
  const messages: [channel: string, text: string][] = [];
  const redis = new Redis(url);
  t.teardown(() => redis.disconnect());
  redis.on('message', (channel, text) => messages.push([channel, text]));
  await redis.subscribe(...channels);
  return messages;
}
