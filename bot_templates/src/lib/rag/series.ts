import type { Observation, ObservationComponent } from '@medplum/fhirtypes';
import { SOURCE_LIMITS } from '../model/sources.ts';
import { conceptWords, dayOf, listed, rangeText } from '../record/datatypes.ts';
import { valueText } from '../record/observation.ts';
import { measureTitle, type Subject, subjectOf } from './named-measures.ts';

/** One value of a series. */
export interface Point {
  /** `Observation/id` */
  reference: string;
  /** Day, month or year. */
  date: string | undefined;
  /** What orders the points: the date as the record has it. */
  at: string;
  /** Without comparator; undefined where the value is no number. */
  value: number | undefined;
  /** With comparator and unit. */
  text: string;
  unit: string;
  /** Interpretation, reference range and a status other than final. */
  remarks: string | undefined;
}

export type Direction = 'rising' | 'falling' | 'unchanged' | 'varying';

/** All values of one measure in one unit, oldest first. */
export interface Series {
  subject: Subject;
  unit: string;
  points: Point[];
  /** Undefined where a value has no date, is no number or is only a bound. */
  direction: Direction | undefined;
}

/** Values that are listed one by one; of more, the oldest are told in sum. */
export const MOST_LISTED = 60;

/** The series of at least two values that some Observations make, those with the newest value first. */
export function seriesOf(observations: readonly Observation[], isWanted: (subject: Subject) => boolean): Series[] {
  const found = new Map<string, Series>();
  for (const observation of observations) {
    for (const [subject, point] of pointsOf(observation)) {
      if (isWanted(subject)) {
        const key = `${subject.key}|${point.unit.toLowerCase()}`;
        const series = found.get(key) ?? { subject, unit: point.unit, points: [], direction: undefined };
        series.points.push(point);
        found.set(key, series);
      }
    }
  }
  return [...found.values()]
    .filter(({ points }) => points.length > 1)
    .map((series) => {
      const points = series.points.sort((one, other) => one.at.localeCompare(other.at));
      return { ...series, points, direction: directionOf(points) };
    })
    .sort((one, other) => lastOf(other).at.localeCompare(lastOf(one).at));
}

/**
 * A series in words, written by code: what a model says of it, it need not work out.
 * @param most - Values that are listed; fewer where they would be too long for a source.
 */
export function seriesText(
  series: Series,
  most = MOST_LISTED
): { date: string | undefined; title: string; text: string } {
  const { subject, unit, points } = series;
  const listedPoints = points.slice(-most);
  const title = measureTitle(subject);
  const lines = [
    `Series of values: ${title}${subject.loinc ? ` (LOINC ${subject.loinc})` : ''}${unit ? `, in ${unit}` : ''}`,
    `Number of values: ${points.length}`,
    ...(listedPoints.length < points.length ? [`The newest ${listedPoints.length} of them, oldest first:`] : []),
    ...listedPoints.map(pointLine),
    ...summary(series),
  ];
  const text = lines.join('\n');
  return text.length > SOURCE_LIMITS.text && most > 1
    ? seriesText(series, Math.ceil(most / 2))
    : { date: lastOf(series).date, title, text };
}

/** The points that a series in words names: the newest, the first, the lowest and the highest. */
export function pointsShown({ points }: Series): Point[] {
  const values = points.map(({ value }) => value).filter((value) => value !== undefined);
  const extremes = [Math.min(...values), Math.max(...values)];
  const named = [points[0], ...extremes.map((extreme) => points.find(({ value }) => value === extreme))];
  const shown = new Set([...named, ...points.slice(-MOST_LISTED)]);
  return points.filter((point) => shown.has(point));
}

/** `2024-01-10: 8.2 % (High)` */
export function pointLine({ date, text, remarks }: Point): string {
  return `${date ?? 'undated'}: ${text}${remarks ? ` (${remarks})` : ''}`;
}

function summary({ points, unit, direction }: Series): string[] {
  if (direction === undefined) {
    return ['Direction: not computed, for not every value is a number with a date'];
  }
  const [first, last] = [points[0] as Point, points.at(-1) as Point];
  const byValue = [...points].sort((one, other) => (one.value as number) - (other.value as number));
  const extremes =
    points.length > 2
      ? [
          ['Lowest', byValue[0]],
          ['Highest', byValue.at(-1)],
        ]
      : [];
  return [
    ...[['First', first], ['Last', last], ...extremes].map(([label, point]) => {
      const { text, date } = point as Point;
      return `${label as string}: ${text} on ${date}`;
    }),
    `Direction: ${WORDS[direction]}`,
    ...difference(first, last, unit),
  ];
}

const WORDS: Record<Direction, string> = {
  rising: 'rising, each value is higher than the one before or the same',
  falling: 'falling, each value is lower than the one before or the same',
  unchanged: 'unchanged',
  varying: 'varying, up and down',
};

function difference(first: Point, last: Point, unit: string): string[] {
  const [one, other] = [first.value as number, last.value as number];
  if (one === other) {
    return ['The last value is the same as the first'];
  }
  const digits = Math.max(decimals(one), decimals(other));
  // A fall from 8 % to 7 % is one of a percentage point.
  const words = unit === '%' ? 'percentage points' : unit;
  const size = Math.abs(other - one).toFixed(digits);
  return [`The last value is ${size} ${words} ${other > one ? 'higher' : 'lower'} than the first`.replace('  ', ' ')];
}

function decimals(value: number): number {
  return Math.min(/\.(\d+)$/.exec(String(value))?.[1]?.length ?? 0, 10);
}

function directionOf(points: readonly Point[]): Direction | undefined {
  if (points.some(({ value, date }) => value === undefined || date === undefined)) {
    return undefined;
  }
  const steps = points.slice(1).map(({ value }, index) => (value as number) - (points[index]?.value as number));
  if (steps.every((step) => step === 0)) {
    return 'unchanged';
  }
  if (steps.every((step) => step >= 0)) {
    return 'rising';
  }
  return steps.every((step) => step <= 0) ? 'falling' : 'varying';
}

/** The values of an Observation: its own and those of its components. */
function* pointsOf(observation: Observation): Generator<[Subject, Point]> {
  const at =
    observation.effectiveDateTime ??
    observation.effectivePeriod?.start ??
    observation.effectiveInstant ??
    observation.issued;
  for (const part of [observation, ...(observation.component ?? [])]) {
    const subject = subjectOf(part.code);
    const text = valueText(part);
    if (subject !== undefined && text !== undefined) {
      yield [
        subject,
        {
          reference: `Observation/${observation.id}`,
          date: dayOf(at),
          at: instantOf(at),
          ...valueOf(part),
          text,
          remarks: remarksOf(part, observation.status),
        },
      ];
    }
  }
}

function valueOf(part: Observation | ObservationComponent): { value: number | undefined; unit: string } {
  const { value, comparator, unit, code } = part.valueQuantity ?? {};
  return {
    value: comparator === undefined ? (value ?? part.valueInteger) : undefined,
    unit: unit ?? code ?? '',
  };
}

function remarksOf(part: Observation | ObservationComponent, status: Observation['status']): string | undefined {
  const ranges = (part.referenceRange ?? []).map((range) => range.text ?? rangeText(range));
  return listed(
    [
      conceptWords(part.interpretation),
      listed(ranges.map((range) => range && `reference range ${range}`)),
      status === 'final' ? undefined : status,
    ],
    '; '
  );
}

/** What orders dates of different precision and zone; what has none comes first. */
function instantOf(date: string | undefined): string {
  const instant = date === undefined ? Number.NaN : Date.parse(date);
  return Number.isNaN(instant) ? '' : new Date(instant).toISOString();
}

function lastOf({ points }: Series): Point {
  return points.at(-1) as Point;
}
