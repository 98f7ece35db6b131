import type { Observation } from '@medplum/fhirtypes';
import { type Assessment, assessObservation, type CriticalFinding, dateOf, type Unassessed } from './critical.ts';
import type { CriticalRule } from './tables.ts';

/** A critical result, and whether a later one of the same quantity has taken its place. */
export type RecentFinding = CriticalFinding & { superseded: boolean };

export interface RecentCritical {
  criticalFindings: RecentFinding[];
  unitMismatches: Unassessed[];
  notAssessed: Unassessed[];
  /** `Observation/id` of every result within the time. */
  considered: Observation[];
}

/** Clocks and time zones differ by so much; what lies further ahead is an error of entry. */
const AHEAD_MS = 24 * 3_600_000;

/**
 * What is critical of a patient's recent results.
 *
 * A critical value that a later comparable value of the same quantity has followed is told as superseded: a flag would
 * speak of what is over. A later value in a wrong unit, of a model, or not final yet takes no final one's place.
 * @param hours - How far back a result counts.
 */
export function recentCritical(
  observations: readonly Observation[],
  age: number | undefined,
  rules: readonly CriticalRule[],
  hours: number,
  now: Date
): RecentCritical {
  const since = now.getTime() - hours * 3_600_000;
  const recent = observations.filter((each) => spanOf(each).end >= since);
  const assessed = recent.map((observation) => ({
    observation,
    assessment: assessObservation(observation, age, rules),
  }));
  const ahead = assessed.filter(({ observation }) => spanOf(observation).start > now.getTime() + AHEAD_MS);
  const stated = assessed.filter((each) => !ahead.includes(each));
  return {
    criticalFindings: stated.flatMap(({ observation, assessment }) =>
      assessment.critical.map((finding) => ({
        ...finding,
        superseded: stated.some((other) => isFollowedBy(observation, finding, other)),
      }))
    ),
    unitMismatches: stated.flatMap(({ assessment }) => assessment.unitMismatches),
    notAssessed: [
      ...stated.flatMap(({ assessment }) => assessment.notAssessed),
      ...ahead.flatMap(({ assessment }) =>
        assessment.critical.map(({ observation, rule, loinc }) => ({
          observation,
          rule: rule ?? 'interpretation',
          ...(loinc === undefined ? {} : { loinc }),
          reason: 'FUTURE_DATE' as const,
        }))
      ),
    ],
    considered: recent,
  };
}

function isFollowedBy(
  observation: Observation,
  finding: CriticalFinding,
  other: { observation: Observation; assessment: Assessment }
): boolean {
  if (other.observation === observation || spanOf(other.observation).start <= spanOf(observation).end) {
    return false;
  }
  // What may still change takes nothing back that stands.
  if (other.observation.status === 'preliminary' && !finding.preliminary) {
    return false;
  }
  const { compared, critical } = other.assessment;
  return finding.rule === undefined
    ? critical.some(({ loinc }) => loinc !== undefined && loinc === finding.loinc)
    : compared.includes(finding.rule);
}

/** From when to when a result may have been taken: a day is a day long. What has no date counts as of its last change. */
function spanOf(observation: Observation): { start: number; end: number } {
  const date = dateOf(observation) ?? observation.meta?.lastUpdated ?? '';
  const start = new Date(date).getTime();
  return Number.isNaN(start) ? { start: 0, end: 0 } : { start, end: start + (DAYS[date.length] ?? 0) * 24 * 3_600_000 };
}

/** How many days a FHIR date covers, by its length: a year, a month, a day. */
const DAYS: Record<number, number> = { 4: 366, 7: 31, 10: 1 };
