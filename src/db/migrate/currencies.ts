import type { Client } from 'pg';
import { currencies } from '../../orders/currencies.ts';

/** Makes table `currencies` equal to the list in src/orders/currencies.ts, in the caller's transaction. */
export async function updateCurrencies(client: Client): Promise<void> {
  const listed = JSON.stringify(Array.from(currencies, ([code, decimals]) => ({ code, decimals })));
  const fromList = 'FROM json_to_recordset($1::json) AS n(code text, decimals integer)';
  await client.query(
    `DELETE FROM public.currencies AS c WHERE NOT EXISTS (SELECT ${fromList} WHERE n.code = c.code)`,
    [listed],
  );
  await client.query(
    `INSERT INTO public.currencies AS c (code, decimals) SELECT n.code, n.decimals ${fromList}
     ON CONFLICT ON CONSTRAINT currencies_pk DO UPDATE SET decimals = excluded.decimals
     WHERE c.decimals <> excluded.decimals`,
    [listed],
  );
}
