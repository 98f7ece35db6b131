import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { answer, hangUp, silence, status, TestRouter } from '../../test/support/router.ts';
import { embedTexts } from './embeddings.ts';
import { postToRouter, type RouterConfig } from './router.ts';

const contract = { model: 'embedding-model', dimension: 4, prefixMode: 'none' } as const;
const router = new TestRouter();
let config: RouterConfig;

beforeAll(async () => {
  await router.start();
  config = { url: router.url, apiKey: 'sk-secret', clientId: 'clinic-7', botName: 'Embedding Bot' };
});
afterAll(() => router.stop());
beforeEach(() => {
  router.reset();
  router.dimension = 4;
});

const post = () => postToRouter(config, 'embedding', '/v1/embeddings', { input: ['secret finding'] }, 300);
const embed = (texts = ['a']) => embedTexts(config, contract, 'embedding', 'document', texts, 300);

describe('postToRouter', () => {
  test.each([
    ['429', status(429, { 'Retry-After': '0' })],
    ['429 with a date', status(429, { 'Retry-After': 'Wed, 21 Oct 2015 07:28:00 GMT' })],
    ['500', status(500)],
    ['503', status(503)],
    ['a connection cut', hangUp],
  ])('tries once more after %s, under the same request id', async (_name, fault) => {
    router.faults = [fault];
    expect(await post()).toMatchObject({ object: 'list' });
    expect(router.calls).toHaveLength(2);
    expect(new Set(router.calls.map((call) => call.headers['x-request-id'])).size).toBe(1);
  });

  test.each([
    ['twice 429', [status(429, { 'Retry-After': '0' }), status(429)], 'answered HTTP 429', 2],
    ['twice 500', [status(500), status(500), status(500)], 'answered HTTP 500', 2],
    ['a connection cut twice', [hangUp, hangUp], 'could not be reached', 2],
    ['400', [status(400)], 'answered HTTP 400', 1],
    ['401', [status(401)], 'refused the key of the project secret LLM_API_KEY', 1],
    [
      'a redirect',
      [status(307, { Location: 'http://evil.example/' }), status(307, { Location: '/' })],
      'could not be reached',
      2,
    ],
    ['an answer that is no JSON', [answer('<html>')], 'no JSON', 1],
  ])('fails after %s, and quotes nothing of it', async (_name, faults, message, calls) => {
    router.faults = faults;
    const failure = await post().catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'LLM_ROUTER_ERROR', message: expect.stringContaining(message) as unknown });
    expect(JSON.stringify([failure, String(failure)])).not.toMatch(/secret finding|sk-secret/);
    expect(router.calls).toHaveLength(calls);
  });

  test('does not try again what was too slow', async () => {
    router.faults = [silence];
    await expect(post()).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(router.calls).toHaveLength(1);
  });

  test('counts the body into the limit', async () => {
    router.faults = [(response) => void response.writeHead(200).write('{"data":')];
    await expect(post()).rejects.toMatchObject({ code: 'TIMEOUT' });
  });

  test("names the system's reason where nobody listens", async () => {
    const nobody = { ...config, url: 'http://127.0.0.1:1' };
    await expect(postToRouter(nobody, 'embedding', '/', {}, 300)).rejects.toMatchObject({
      details: { cause: expect.stringMatching(/^[A-Z]+$|TypeError/) as unknown },
    });
  });

  test('sends no key when there is none', async () => {
    await postToRouter({ ...config, apiKey: undefined }, 'health_check', '/v1/embeddings', { input: [] }, 300);
    expect(router.calls[0]?.headers).not.toHaveProperty('authorization');
    expect(router.calls[0]?.headers).toMatchObject({ 'x-client-id': 'clinic-7', 'x-clinic-task': 'health_check' });
  });
});

describe('embedTexts', () => {
  const data = (...entries: unknown[]) => answer(JSON.stringify({ data: entries }));

  test('asks nothing for nothing', async () => {
    expect(await embed([])).toEqual([]);
    expect(router.calls).toEqual([]);
  });

  test("puts vectors in the texts' order, whatever the answer's", async () => {
    router.faults = [data({ index: 1, embedding: [0, 1, 0, 0] }, { index: 0, embedding: [1, 0, 0, 0] })];
    expect(await embed(['a', 'b'])).toEqual([
      [1, 0, 0, 0],
      [0, 1, 0, 0],
    ]);
  });

  test("takes the answer's order where it gives no index", async () => {
    router.faults = [data({ embedding: [1, 0, 0, 0] }, { embedding: [0, 1, 0, 0] })];
    expect((await embed(['a', 'b']))[1]).toEqual([0, 1, 0, 0]);
  });

  test.each([
    ['too few', data()],
    ['too many', data({ embedding: [1, 0, 0, 0] }, { embedding: [1, 0, 0, 0] })],
    ['one index twice', data({ index: 0, embedding: [1, 0, 0, 0] }, { index: 0, embedding: [1, 0, 0, 0] })],
    ['a strange index', data({ index: 5, embedding: [1, 0, 0, 0] })],
    ['base64', data({ embedding: 'AACAPw==' })],
    ['nothing', data(null)],
    ['texts', data({ embedding: ['1', '0', '0', '0'] })],
    ['null values', data({ embedding: [1, null, 0, 0] })],
    ['zeros', data({ embedding: [0, 0, 0, 0] })],
    ['values that half precision takes for zero', data({ embedding: [1e-9, 0, 0, 0] })],
    ['values that half precision cannot hold', data({ embedding: [1e6, 0, 0, 0] })],
    ['an error with 200', answer('{"error": "overloaded"}')],
    ['a list', answer('[]')],
  ])('refuses an answer of %s', async (name, fault) => {
    router.faults = [fault];
    const texts = name === 'one index twice' ? ['a', 'b'] : ['a'];
    await expect(embed(texts)).rejects.toMatchObject({ code: 'EMBEDDING_ERROR' });
  });

  test('refuses another dimension in the words of the guide', async () => {
    router.faults = [data({ embedding: [1, 0] })];
    await expect(embed()).rejects.toMatchObject({
      code: 'DIMENSION_MISMATCH',
      message: 'expected 4 dimensions, got 2',
      details: { expected: 4, got: 2 },
    });
  });
});
