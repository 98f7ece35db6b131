import type { Observation } from '@medplum/fhirtypes';
import { type Chart, type ChartPart, holds, readChart } from '../chart/chart.ts';
import { searchAll } from '../chart/search-all.ts';
import type { BotRun } from '../run.ts';
import type { Asked } from './asked.ts';
import { isMeasured, isNamedIn, type Subject, subjectOf } from './named-measures.ts';
import { type Series, seriesOf } from './series.ts';

/** What the chart says, by its own codes. */
export interface StructuredRecord {
  chart: Chart;
  /** Observations of every category and of none, newest first. */
  observations: Observation[];
  /** Of what the question names, or of everything where it asks for all courses. */
  series: Series[];
  /** Whether the question names what an Observation or a component measures. */
  isNamed(subject: Subject): boolean;
  /** Not all of the chart, or of a series, was read. */
  incomplete: boolean;
}

/** Observations of one series that are read. */
const MOST_OBSERVATIONS = 500;
/** Series where a question asks for all. */
const MOST_SERIES = 8;

const ALWAYS: readonly ChartPart[] = [
  'conditions',
  'medicationRequests',
  'medicationStatements',
  'allergies',
  'labs',
  'vitals',
];
const WHEN_ASKED: readonly ChartPart[] = ['procedures', 'immunizations'];

/**
 * Reads the chart, and whole the series that the question means, with the rights of the run.
 * @throws BotFailure DB_ERROR or TIMEOUT
 */
export async function readRecord(
  run: BotRun,
  patientId: string,
  question: string,
  asked: Asked
): Promise<StructuredRecord> {
  const [chart, others] = await Promise.all([
    readChart(run, patientId, [...ALWAYS, ...WHEN_ASKED.filter((part) => asked.parts.has(part))], 'DB_ERROR'),
    // What has no category, or another than the chart asks for, such as a social history.
    search(run, [`${observationsOf(patientId)}&category:not=laboratory,vital-signs&_sort=-date&_count=200`]),
  ]);
  const charted = distinct([...chart.labs, ...chart.vitals, ...others]);
  const isNamed = (subject: Subject): boolean =>
    asked.measures.some((measure) => isMeasured(measure, subject)) || isNamedIn(question, subject);
  const tokens = tokensOf(asked, charted, isNamed);
  const whole = await search(
    run,
    tokens.length === 0
      ? []
      : [
          `${observationsOf(patientId)}&combo-code=${tokens.map(encodeURIComponent).join(',')}&_sort=-date&_count=${MOST_OBSERVATIONS}`,
        ]
  );
  const named = seriesOf(distinct([...whole, ...charted]), isNamed);
  const all = asked.everySeries && named.length === 0 ? seriesOf(charted, () => true) : named;
  return {
    chart,
    observations: distinct([...charted, ...whole]).sort((one, other) => dateOf(other).localeCompare(dateOf(one))),
    series: all.slice(0, MOST_SERIES),
    isNamed,
    incomplete: chart.incomplete.length > 0 || whole.length >= MOST_OBSERVATIONS || all.length > MOST_SERIES,
  };
}

function observationsOf(patientId: string): string {
  return `Observation?subject=Patient/${patientId}`;
}

/** A user who may not read Observations at all: the chart says so. */
async function search(run: BotRun, searches: readonly string[]): Promise<Observation[]> {
  const pages = searches.length === 0 ? [] : await searchAll(run, 'Reading Observations', searches, 'DB_ERROR');
  return pages
    .flatMap((page) => (page === 'unreadable' ? [] : (page.entry ?? []).map(({ resource }) => resource)))
    .filter((resource): resource is Observation => resource?.resourceType === 'Observation')
    .filter((observation) => holds(observation, 'labs'));
}

/** The codes under which the server is asked for a series: those of the question's words, and the record's own. */
function tokensOf(asked: Asked, charted: readonly Observation[], isNamed: (subject: Subject) => boolean): string[] {
  const known = asked.measures.flatMap(({ codes }) => codes.map((code) => `http://loinc.org|${code}`));
  const own = charted
    .flatMap((observation) => [observation, ...(observation.component ?? [])])
    .map(({ code }) => subjectOf(code))
    .filter((subject) => subject !== undefined && isNamed(subject))
    .map((subject) => subject?.token)
    .filter((token) => token !== undefined);
  return [...new Set([...known, ...own])];
}

function distinct(observations: readonly Observation[]): Observation[] {
  return [...new Map(observations.map((observation) => [observation.id, observation])).values()];
}

function dateOf({ effectiveDateTime, effectivePeriod, effectiveInstant, issued }: Observation): string {
  return effectiveDateTime ?? effectivePeriod?.start ?? effectiveInstant ?? issued ?? '';
}
