import type { CodeableConcept, Observation } from '@medplum/fhirtypes';

/** Values of one code within an encounter. */
const MOST_OF_ONE_CODE = 5;

/** Which Observations are shown, and how many of the encounter are not. */
export interface Selection {
  /** Those of one code stand together, newest first; codes in the order of their newest value. */
  chosen: Observation[];
  earlier: number;
}

/**
 * The newest values of each code within the encounter, and of each code the newest of all, of whichever encounter.
 * @param encounter - `Encounter/id`
 */
export function selectObservations(
  ofEncounter: readonly Observation[],
  ofPatient: readonly Observation[],
  encounter: string
): Selection {
  const all = new Map([...ofEncounter, ...ofPatient].map((each) => [each.id, each]));
  const byCode = new Map<string, Observation[]>();
  for (const observation of [...all.values()].sort(newestFirst)) {
    const code = codeOf(observation.code) ?? `Observation/${observation.id}`;
    byCode.set(code, [...(byCode.get(code) ?? []), observation]);
  }
  const selection: Selection = { chosen: [], earlier: 0 };
  for (const series of byCode.values()) {
    const own = series.filter((each) => each.encounter?.reference === encounter);
    const shown = new Set([series[0], ...own.slice(0, MOST_OF_ONE_CODE)]);
    selection.chosen.push(...series.filter((each) => shown.has(each)));
    selection.earlier += own.filter((each) => !shown.has(each)).length;
  }
  return selection;
}

/** What makes two Observations values of one series: a LOINC code, else the first code, else the words. */
function codeOf(concept: CodeableConcept | undefined): string | undefined {
  const codings = concept?.coding ?? [];
  const loinc = codings.find(({ system, code }) => system === 'http://loinc.org' && code);
  const coding = loinc ?? codings.find(({ code }) => code);
  return coding ? `${coding.system ?? ''}|${coding.code}` : concept?.text?.trim().toLowerCase();
}

/** Without a date is oldest; equal times in the order of their ids, so that the same record gives the same document. */
function newestFirst(one: Observation, other: Observation): number {
  return timeOf(other) - timeOf(one) || (one.id ?? '').localeCompare(other.id ?? '');
}

function timeOf(observation: Observation): number {
  const { effectiveDateTime, effectiveInstant, effectivePeriod, issued } = observation;
  const period = effectivePeriod?.end ?? effectivePeriod?.start;
  const time = new Date(effectiveDateTime ?? effectiveInstant ?? period ?? issued ?? '').getTime();
  return Number.isNaN(time) ? Number.NEGATIVE_INFINITY : time;
}
