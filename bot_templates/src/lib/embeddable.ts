import { type Chunk, CHUNK_LIMITS, chunkRecord } from './chunking.ts';
import {
  type EmbeddedResource,
  reasonToWithhold,
  recordText,
  type RecordSources,
  type Skipped,
} from './record/record-text.ts';

/** What of a resource is embedded. */
export interface Embeddable {
  /** None where the resource must not be found, or has no text. */
  chunks: Chunk[];
  /** What was left out, and why; with no chunk at all, why there is none. */
  skipped: Skipped[];
}

/** The text of a resource in chunks, the same whoever embeds it. */
export async function embeddable(resource: EmbeddedResource, sources: RecordSources): Promise<Embeddable> {
  const reason = reasonToWithhold(resource);
  if (reason !== undefined) {
    return { chunks: [], skipped: [{ reason }] };
  }
  const record = await recordText(resource, sources);
  const { chunks, complete } = chunkRecord(resource.resourceType, record);
  const skipped = complete
    ? record.skipped
    : [...record.skipped, { reason: `text beyond ${CHUNK_LIMITS.chunks} chunks` }];
  return chunks.length > 0
    ? { chunks, skipped }
    : { chunks, skipped: [...skipped, { reason: 'there is no text in it' }] };
}
