import { describe, expect, test } from 'vitest';
import { modelVersion, readEmbeddingContract, withPrefix } from './embedding-contract.ts';
import { readProjectId } from './project.ts';
import { Secrets } from './secrets.ts';

const secrets = (values: Record<string, unknown>) =>
  new Secrets(
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { name, ...(value as object) }]))
  );
const notConfigured = (name: string) =>
  expect.objectContaining({
    code: 'NOT_CONFIGURED',
    message: expect.stringContaining(name) as unknown,
    details: { secret: name },
  });

describe('Secrets', () => {
  test.each([
    [{ valueString: ' x ' }, 'x'],
    [{ valueInteger: 768 }, '768'],
    [{ valueDecimal: 0.5 }, '0.5'],
    [{ valueBoolean: false }, 'false'],
    [{ valueString: '  ' }, undefined],
    [{}, undefined],
  ])('%j is %j', (setting, expected) => {
    expect(secrets({ A: setting }).optional('A')).toBe(expected);
  });

  test('there are none when the server gives none', () => {
    expect(new Secrets(undefined).optional('A')).toBeUndefined();
  });

  test('a property of every object is no secret', () => {
    expect(secrets({}).optional('constructor')).toBeUndefined();
  });

  test('a missing one is named, never shown', () => {
    expect(() => secrets({}).required('DATABASE_URL')).toThrow(notConfigured('DATABASE_URL'));
  });

  test.each(['12.5', '-1', '1e3', 'many', '0', '1001'])('%s is no whole number from 1 to 1000', (valueString) => {
    expect(() => secrets({ N: { valueString } }).integer('N', 5, 1, 1_000)).toThrow(notConfigured('N'));
  });

  test('a number that is absent has its default', () => {
    expect(secrets({}).integer('N', 5, 1, 10)).toBe(5);
  });
});

describe('the embedding contract', () => {
  test('has the defaults of the guide', () => {
    const contract = readEmbeddingContract(secrets({}));
    expect(contract).toEqual({ model: 'embedding-model', dimension: 768, prefixMode: 'none' });
    expect(modelVersion(contract)).toBe('embedding-model/768/none');
    expect(withPrefix(contract, 'query', 'x')).toBe('x');
  });

  test('tells query from document where the model wants it', () => {
    const contract = readEmbeddingContract(
      secrets({
        EMBEDDING_MODEL: { valueString: 'nomic' },
        EMBEDDING_DIM: { valueString: '256' },
        EMBEDDING_PREFIX_MODE: { valueString: 'nomic' },
      })
    );
    expect(modelVersion(contract)).toBe('nomic/256/nomic');
    expect(withPrefix(contract, 'query', 'x')).toBe('search_query: x');
    expect(withPrefix(contract, 'document', 'x')).toBe('search_document: x');
  });

  test.each([
    ['EMBEDDING_DIM', '0'],
    ['EMBEDDING_DIM', '4001'],
    ['EMBEDDING_PREFIX_MODE', 'e5'],
    ['EMBEDDING_MODEL', 'm'.repeat(100)],
  ])('refuses %s = %s', (name, valueString) => {
    expect(() => readEmbeddingContract(secrets({ [name]: { valueString } }))).toThrow(notConfigured(name));
  });
});

test('the project is a UUID', () => {
  expect(() => readProjectId(secrets({ MEDBOTS_PROJECT_ID: { valueString: 'my project' } }))).toThrow(
    notConfigured('MEDBOTS_PROJECT_ID')
  );
});
