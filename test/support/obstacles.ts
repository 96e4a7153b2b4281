/*
 * Triggers that make an order fail, or wait, at one step. A test uses them to reach an error path that no customer can
 * reach.
 */
import { sql, type CommonQueryMethods } from 'slonik';

type Database = { pool: Pick<CommonQueryMethods, 'query'> };

/** plpgsql that refuses the step. */
export const REFUSE = `RAISE EXCEPTION 'this one is poison'`;

/**
 * From now on, runs plpgsql before an order of this product gets this status. Returns a function that ends this.
 */
export async function beforeStatus(
  { pool }: Database,
  product: string,
  status: string,
  plpgsql: string,
): Promise<() => Promise<void>> {
  const obstacle = sql.identifier([`orders_99_${product.toLowerCase()}`]);
  await createTriggerFunction({ pool }, obstacle, plpgsql);
  await pool.query(sql.unsafe`
    CREATE TRIGGER ${obstacle} BEFORE UPDATE ON orders FOR EACH ROW
      WHEN (NEW.product_name = ${sql.literalValue(product)} AND NEW.status = ${sql.literalValue(status)})
      EXECUTE FUNCTION ${obstacle}()
  `);
  return async () => void (await pool.query(sql.unsafe`DROP FUNCTION ${obstacle} CASCADE`));
}

/** From now on, the COMMIT of a new order of this product fails. Returns a function that ends this. */
export async function refuseAtCommit(
  { pool }: Database,
  product: string,
): Promise<() => Promise<void>> {
  const obstacle = sql.identifier([`orders_99_${product.toLowerCase()}`]);
  await createTriggerFunction({ pool }, obstacle, `RAISE EXCEPTION 'refused at commit'`);
  await pool.query(sql.unsafe`
    CREATE CONSTRAINT TRIGGER ${obstacle} AFTER INSERT ON orders
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
      WHEN (NEW.product_name = ${sql.literalValue(product)}) EXECUTE FUNCTION ${obstacle}()
  `);
  return async () => void (await pool.query(sql.unsafe`DROP FUNCTION ${obstacle} CASCADE`));
}

async function createTriggerFunction(
  { pool }: Database,
  name: ReturnType<typeof sql.identifier>,
  plpgsql: string,
): Promise<void> {
  const body = sql.literalValue(`BEGIN ${plpgsql}; RETURN NEW; END`);
  await pool.query(sql.unsafe`
    CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS ${body}
  `);
}
