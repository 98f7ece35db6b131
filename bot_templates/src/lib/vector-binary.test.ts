import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestDatabase, WITHOUT_DATABASE } from '../../test/support/database.ts';
import { vectorBinary, vectorsBinary } from './vector-binary.ts';

const VECTORS = [
  [1, -0.5, 65_504],
  [2 ** -10, 0, -3.140625],
];

describe.skipIf(WITHOUT_DATABASE)('binary vectors (need MEDBOTS_TEST_DATABASE_URL)', () => {
  let database: TestDatabase;
  let type: number;

  beforeAll(async () => {
    database = await TestDatabase.create();
    const { rows } = await database.admin.query("SELECT 'vector'::regtype::oid AS type");
    type = (rows[0] as { type: number }).type;
  });
  afterAll(() => database.drop());

  const read = async (statement: string, value: unknown) =>
    (await database.admin.query(statement, [value])).rows.map((row: { read: string }) => JSON.parse(row.read) as unknown);

  test('one vector arrives as it is', async () => {
    expect(await read('SELECT ($1::vector::halfvec)::text AS read', vectorBinary(VECTORS[0] ?? []))).toEqual([
      VECTORS[0],
    ]);
  });

  test('several arrive as they are, in order', async () => {
    expect(
      await read('SELECT v::text AS read FROM unnest($1::vector[]) AS v', vectorsBinary(VECTORS, type))
    ).toEqual(VECTORS);
  });

  test('none is an empty array', async () => {
    expect(await read('SELECT v::text AS read FROM unnest($1::vector[]) AS v', vectorsBinary([], type))).toEqual([]);
  });
});
