import { asFailure, BotFailure, type ErrorCode } from '../failure.ts';
import { SOURCE_LIMITS, Sources } from '../model/sources.ts';
import { retrieve, type Retrieved } from '../retrieval.ts';
import type { BotRun } from '../run.ts';
import { type Asked, askedBy } from './asked.ts';
import { chunkPassages, factPassages, type Passage, seriesPassages } from './passages.ts';
import type { RagQuestion } from './question.ts';
import { readRecord, type StructuredRecord } from './record.ts';

/** What a model is shown of a record, and what became of the rest. */
export interface Context {
  asked: Asked;
  sources: Sources;
  /** The passage of each source, by its id. */
  passages: Map<string, Passage>;
  /** Records that the search found and that were dropped: not the requester's to read, gone, or changed since. */
  filtered: number;
  /** Why the search by meaning gave nothing; undefined when it worked. */
  retrievalFailure: ErrorCode | undefined;
  warnings: string[];
}

/** Least cosine similarity of a passage; what is near enough depends on the model, so this shuts out mere noise only. */
const MIN_SIMILARITY = 0.2;
/** Hits whose similarity is asked for: the chart's own facts are among them. */
const HITS = 40;
/** Facts of the chart that a model is shown, the nearest. */
const MOST_FACTS = 60;

/** Failures of a search by meaning that leave the facts of the chart to answer; what is set up wrongly is told. */
const SERVICE_DOWN: readonly ErrorCode[] = ['LLM_ROUTER_ERROR', 'EMBEDDING_ERROR', 'TIMEOUT', 'DB_ERROR'];

/**
 * Gathers what a model may answer from: passages found by meaning, facts of the chart, and whole series.
 *
 * Everything is read with the rights of the run. The nearest comes first, and what does not fit is left out whole.
 * When the search by meaning is down, the chart answers alone, and a warning says so.
 * @throws BotFailure NOT_CONFIGURED, PHI_ROUTE_BLOCKED, DIMENSION_MISMATCH, DB_ERROR, TIMEOUT
 */
export async function gatherContext(run: BotRun, question: RagQuestion): Promise<Context> {
  const asked = askedBy(question);
  const [found, record] = await Promise.all([
    search(run, question),
    readRecord(run, question.patientId, question.question, asked),
  ]);
  const { hits } = found;
  const visible = hits.filter(({ textHidden }) => !textHidden);
  const series = seriesPassages(record);
  const told = new Set(record.series.flatMap(({ points }) => points.map(({ reference }) => reference)));
  const charted = factPassages(record, question.question, asked, visible).filter(
    (fact) => !repeats(fact, told, record)
  );
  // What is too long to be shown whole can still be shown by the passage that was found.
  const facts = charted.filter(({ text }) => text.length <= SOURCE_LIMITS.text);
  const known = new Set([...told, ...facts.map(({ reference }) => reference)]);
  const chunks = chunkPassages(visible.filter((hit) => isOf(question.patientId, hit) && !isRefuted(hit)))
    .filter(({ reference }) => !known.has(reference))
    .slice(0, question.maxContextChunks);
  const context = show([...series, ...byNearness(facts).slice(0, MOST_FACTS), ...chunks]);
  return {
    asked,
    ...context,
    filtered: found.filteredCount,
    retrievalFailure: found.failure,
    warnings: [
      ...(found.failure === undefined ? [] : ['RETRIEVAL_UNAVAILABLE']),
      ...(visible.length < hits.length ? ['FIELDS_HIDDEN'] : []),
      ...(record.chart.unreadable.length > 0 ? ['RECORD_NOT_READABLE'] : []),
      ...(record.incomplete ? ['RECORD_INCOMPLETE'] : []),
      ...(facts.length < charted.length || facts.length > MOST_FACTS ? ['CONTEXT_LIMITED'] : []),
      ...context.sources.warnings,
    ].filter((warning, index, all) => all.indexOf(warning) === index),
  };
}

async function search(run: BotRun, question: RagQuestion): Promise<Retrieved & { failure?: ErrorCode }> {
  try {
    return await retrieve(run, 'rag_query', {
      query: question.question,
      patientId: question.patientId,
      resourceTypes: undefined,
      contentType: undefined,
      dates: { start: undefined, end: undefined },
      minSimilarity: MIN_SIMILARITY,
      limit: Math.max(HITS, question.maxContextChunks),
    });
  } catch (error) {
    const { code, message, details } = asFailure(error, 'EMBEDDING_ERROR');
    if (!SERVICE_DOWN.includes(code)) {
      throw new BotFailure(code, message, details);
    }
    run.log(`RETRIEVAL_UNAVAILABLE ${code} ${run.requestId}`);
    return { hits: [], filteredCount: 0, failure: code };
  }
}

/** A row of another patient is shown to nobody, whatever the query said. */
function isOf(patientId: string, hit: Retrieved['hits'][0]): boolean {
  return hit.patientId?.toLowerCase() === patientId;
}

/** A diagnosis that was refuted reads like any other. */
function isRefuted({ resourceType, text }: Retrieved['hits'][0]): boolean {
  return resourceType === 'Condition' && /^Verification: (?:refuted|entered.in.error)/im.test(text);
}

/** An Observation whose value stands in a series says nothing more, unless somebody noted something. */
function repeats(fact: Passage, told: ReadonlySet<string>, { observations }: StructuredRecord): boolean {
  const noted = observations.some(({ id, note }) => `Observation/${id}` === fact.reference && (note ?? []).length > 0);
  return told.has(fact.reference) && !noted;
}

const KINDS: readonly Passage['kind'][] = ['series', 'fact', 'chunk'];

function byNearness(passages: readonly Passage[]): Passage[] {
  return [...passages].sort(
    (one, other) =>
      other.similarity - one.similarity ||
      KINDS.indexOf(one.kind) - KINDS.indexOf(other.kind) ||
      (other.date ?? '').localeCompare(one.date ?? '') ||
      one.reference.localeCompare(other.reference)
  );
}

function show(passages: readonly Passage[]): Pick<Context, 'sources' | 'passages'> {
  const sources = new Sources();
  const shown = new Map<string, Passage>();
  for (const passage of byNearness(passages)) {
    const { reference, date, title, text } = passage;
    const source = sources.add({ reference, date, title, text });
    if (source !== undefined) {
      shown.set(source.id, passage);
    }
  }
  return { sources, passages: shown };
}
