/** Registers a user through the API and logs in. Returns the headers to place orders with. */
export async function signUp(origin: string): Promise<Record<string, string>> {
  const account = { email: `bench-${Date.now()}@example.test`, password: 'correct horse' };
  const headers = { 'content-type': 'application/json' };
  const post = (path: string, body: object) =>
    fetch(`${origin}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  await post('/auth/register', { name: 'Bench', ...account });
  const answer = await post('/auth/login', account);
  if (!answer.ok) throw new Error(`POST /auth/login answered ${answer.status}`);
  const { access_token } = (await answer.json()) as { access_token: string };
  return { ...headers, authorization: `Bearer ${access_token}` };
}
