import { type EmbeddingContract, withPrefix } from './embedding-contract.ts';
import { BotFailure } from './failure.ts';
import { isObject } from './input.ts';
import { type ClinicTask, postToRouter, type RouterConfig } from './router.ts';

/**
 * Embeds texts in one call.
 * @param limitMs - Time limit of an attempt.
 * @returns One vector a text, in order; each of the contract's length, finite, and not zero.
 * @throws BotFailure DIMENSION_MISMATCH, EMBEDDING_ERROR, LLM_ROUTER_ERROR, TIMEOUT
 */
export async function embedTexts(
  router: RouterConfig,
  contract: EmbeddingContract,
  task: ClinicTask,
  purpose: 'document' | 'query',
  texts: readonly string[],
  limitMs: number
): Promise<number[][]> {
  if (texts.length === 0) {
    return [];
  }
  const body = { model: contract.model, input: texts.map((text) => withPrefix(contract, purpose, text)) };
  const answer = await postToRouter(router, task, '/v1/embeddings', body, limitMs);
  const data = isObject(answer) ? answer.data : undefined;
  if (!Array.isArray(data) || data.length !== texts.length) {
    throw new BotFailure('EMBEDDING_ERROR', `The model router did not answer ${texts.length} embeddings`);
  }
  const vectors: (number[] | undefined)[] = texts.map(() => undefined);
  for (const [position, entry] of data.entries()) {
    const { index = position, embedding } = (isObject(entry) ? entry : {}) as { index?: number; embedding?: unknown };
    if (!(index in vectors) || vectors[index] !== undefined) {
      throw new BotFailure('EMBEDDING_ERROR', 'The model router numbered its embeddings wrongly');
    }
    vectors[index] = checkedVector(embedding, contract.dimension);
  }
  return vectors as number[][];
}

function checkedVector(embedding: unknown, dimension: number): number[] {
  if (!Array.isArray(embedding)) {
    throw new BotFailure('EMBEDDING_ERROR', 'The model router answered an embedding that is no list of numbers');
  }
  if (embedding.length !== dimension) {
    throw new BotFailure('DIMENSION_MISMATCH', `expected ${dimension} dimensions, got ${embedding.length}`, {
      expected: dimension,
      got: embedding.length,
    });
  }
  if (!embedding.every((value) => Number.isFinite(value))) {
    throw new BotFailure('EMBEDDING_ERROR', 'The model router answered an embedding with a value that is no number');
  }
  // A zero vector is near nothing: it would be stored and never found. Half precision rounds below 2^-25 to zero.
  if (!embedding.some((value: number) => Math.abs(value) > 2 ** -25)) {
    throw new BotFailure('EMBEDDING_ERROR', 'The model router answered a zero vector');
  }
  if (embedding.some((value: number) => Math.abs(value) > 65_504)) {
    throw new BotFailure('EMBEDDING_ERROR', 'The model router answered a value too large for half precision');
  }
  return embedding as number[];
}
