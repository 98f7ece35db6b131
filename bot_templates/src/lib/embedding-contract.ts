import { BotFailure } from './failure.ts';
import type { Secrets } from './secrets.ts';

/** What must agree between the model, the table and every reader of it. */
export interface EmbeddingContract {
  /** Alias of the model at the router. */
  model: string;
  /** Length of every vector. */
  dimension: number;
  /** Which prefixes tell the model a query from a document. */
  prefixMode: 'none' | 'nomic';
}

const PREFIXES = {
  none: { document: '', query: '' },
  nomic: { document: 'search_document: ', query: 'search_query: ' },
} as const;

/** pgvector's limit for an HNSW index over halfvec. */
const GREATEST_DIMENSION = 4000;
/** The column's width. */
const GREATEST_MODEL_VERSION = 100;

/** @throws BotFailure NOT_CONFIGURED */
export function readEmbeddingContract(secrets: Secrets): EmbeddingContract {
  const contract: EmbeddingContract = {
    model: secrets.optional('EMBEDDING_MODEL') ?? 'embedding-model',
    dimension: secrets.integer('EMBEDDING_DIM', 768, 1, GREATEST_DIMENSION),
    prefixMode: secrets.oneOf('EMBEDDING_PREFIX_MODE', ['none', 'nomic']),
  };
  if (modelVersion(contract).length > GREATEST_MODEL_VERSION) {
    throw new BotFailure('NOT_CONFIGURED', 'The project secret EMBEDDING_MODEL is too long', {
      secret: 'EMBEDDING_MODEL',
    });
  }
  return contract;
}

/** What a row's vector was made with, such as `embedding-model/768/none`: vectors of two versions never compare. */
export function modelVersion(contract: EmbeddingContract): string {
  return `${contract.model}/${contract.dimension}/${contract.prefixMode}`;
}

/** A text as the model wants it. */
export function withPrefix(contract: EmbeddingContract, purpose: 'document' | 'query', text: string): string {
  return PREFIXES[contract.prefixMode][purpose] + text;
}
