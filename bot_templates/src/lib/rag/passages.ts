import type { ChartPart } from '../chart/chart.ts';
import { type Charted, factOf } from '../chart/fact.ts';
import { contentWords } from '../model/grounding.ts';
import type { Hit } from '../retrieval.ts';
import type { Asked } from './asked.ts';
import { measureTitle, subjectOf } from './named-measures.ts';
import type { StructuredRecord } from './record.ts';
import { type Series, seriesText } from './series.ts';

/** What may become a source. */
export interface Passage {
  kind: 'series' | 'fact' | 'chunk';
  /** `Type/id`; of a series, that of its newest value. */
  reference: string;
  date: string | undefined;
  title: string;
  text: string;
  /** How near it is to the question, 0 to 1, and how that was found. */
  similarity: number;
  basis: Basis;
  series?: Series;
}

/** `vector`: cosine of the embeddings. `code`, `kind`, `words`, `chart`: see SIMILARITY. */
export type Basis = 'vector' | 'code' | 'kind' | 'words' | 'chart';

/**
 * What stands for a similarity where code found something and not a vector.
 *
 * `code`: the question names the measure; not 1, for what its words mean was still guessed. `kind`: the question asks
 * for this kind of record, such as medications. `words`: this times the share of the question's words that the record
 * has. `chart`: nothing tells that it is meant; it is shown because every answer needs to see it.
 */
export const SIMILARITY = { code: 0.9, kind: 0.7, words: 0.7, chart: 0.3 } as const;

/** The series that the question means. */
export function seriesPassages(record: StructuredRecord): Passage[] {
  return record.series.map((series) => {
    const basis = record.isNamed(series.subject) ? 'code' : 'kind';
    const reference = series.points.at(-1)?.reference as string;
    return { kind: 'series', reference, ...seriesText(series), similarity: SIMILARITY[basis], basis, series };
  });
}

/** The facts of the chart: what holds now, and the latest of each that was measured. */
export function factPassages(
  record: StructuredRecord,
  question: string,
  asked: Asked,
  hits: readonly Hit[]
): Passage[] {
  const { chart } = record;
  const near = new Map(hits.map((hit) => [`${hit.resourceType}/${hit.resourceId}`, hit.similarity]));
  const words = contentWords(question);
  const parts: readonly [ChartPart, readonly Charted[]][] = [
    ['conditions', chart.conditions],
    ['medicationRequests', chart.medicationRequests],
    ['medicationStatements', chart.medicationStatements],
    ['allergies', chart.allergies],
    ['procedures', chart.procedures],
    ['immunizations', chart.immunizations],
    ['labs', latest(record)],
  ];
  return parts.flatMap(([part, resources]) =>
    resources.map((resource) => {
      const fact = factOf(resource, chart.medications);
      const subject = resource.resourceType === 'Observation' ? subjectOf(resource.code) : undefined;
      const passage = {
        kind: 'fact' as const,
        ...fact,
        title: subject === undefined ? fact.title : measureTitle(subject),
      };
      const found: [Basis, number][] = [
        ['chart', SIMILARITY.chart],
        ['words', SIMILARITY.words * share(words, contentWords(`${passage.title}\n${passage.text}`))],
        ['kind', asked.parts.has(partOf(resource, part)) ? SIMILARITY.kind : 0],
        ['code', subject !== undefined && record.isNamed(subject) ? SIMILARITY.code : 0],
        ['vector', near.get(fact.reference) ?? 0],
      ];
      const [basis, similarity] = found.reduce((best, each) => (each[1] > best[1] ? each : best));
      return { ...passage, basis, similarity };
    })
  );
}

/** What the vectors found. A chunk begins with its header, `[type | date | section]`. */
export function chunkPassages(hits: readonly Hit[]): Passage[] {
  return hits.map((hit) => {
    const [, date, section, body] =
      /^\[[^|\]]{1,60} \| ([^|\]]{1,20}) \| ([^\]]{0,100})\]\n([\s\S]*)$/.exec(hit.text) ?? [];
    return {
      kind: 'chunk',
      reference: `${hit.resourceType}/${hit.resourceId}`,
      date: date === 'undated' ? undefined : date,
      title: section ?? hit.resourceType,
      text: body ?? hit.text,
      similarity: hit.similarity,
      basis: 'vector',
    };
  });
}

/** The newest Observation of each that was measured. */
function latest({ observations }: StructuredRecord): Charted[] {
  const found = new Map<string, Charted>();
  for (const observation of observations) {
    const key = subjectOf(observation.code)?.key ?? `Observation/${observation.id}`;
    if (!found.has(key)) {
      found.set(key, observation);
    }
  }
  return [...found.values()];
}

function partOf(resource: Charted, part: ChartPart): ChartPart {
  const vital =
    resource.resourceType === 'Observation' &&
    resource.category?.some(({ coding }) => coding?.some(({ code }) => code === 'vital-signs'));
  return vital ? 'vitals' : part;
}

function share(words: ReadonlySet<string>, of: ReadonlySet<string>): number {
  return words.size === 0 ? 0 : [...words].filter((word) => of.has(word)).length / words.size;
}
