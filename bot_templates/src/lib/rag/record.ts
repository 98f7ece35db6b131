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
  'otherObservations',
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
  const parts = [...ALWAYS, ...WHEN_ASKED.filter((part) => asked.parts.has(part))];
  const chart = await readChart(run, patientId, parts, 'DB_ERROR');
  const charted = distinct([...chart.labs, ...chart.vitals, ...chart.otherObservations]);
  const isNamed = (subject: Subject): boolean =>
    asked.measures.some((measure) => isMeasured(measure, subject)) || isNamedIn(question, subject);
  const whole = await observationsOf(run, patientId, tokensOf(asked, charted, isNamed));
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

/** The Observations of some codes, also those that have one in a component, newest first; a chart has only so many. */
async function observationsOf(run: BotRun, patientId: string, tokens: readonly string[]): Promise<Observation[]> {
  if (tokens.length === 0) {
    return [];
  }
  const codes = tokens.map(encodeURIComponent).join(',');
  const search = `Observation?subject=Patient/${patientId}&combo-code=${codes}&_sort=-date&_count=${MOST_OBSERVATIONS}`;
  const [page] = await searchAll(run, 'Reading Observations', [search], 'DB_ERROR');
  // Who may not read them at all has none in the chart either, which says so.
  return (page === undefined || page === 'unreadable' ? [] : (page.entry ?? []))
    .map(({ resource }) => resource)
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
