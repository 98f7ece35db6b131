import type { Observation } from '@medplum/fhirtypes';
import { allergyLine, type Line, medicationLine, observationLine } from './line.ts';
import type { NoteRecord } from './record.ts';
import type { DraftRequest } from './request.ts';
import { selectObservations } from './select-observations.ts';

/** One list of the objective section. */
export interface Part {
  title: string;
  lines: Line[];
  /** What the list itself does not say: that it is empty, cut, or not to be read. */
  remarks: string[];
}

/** Lines of one part. */
export const MOST_LINES = { observations: 60, medications: 100, allergies: 100 } as const;

/** What each list of observations is read from. */
const OBSERVATION_PARTS = {
  labs: ['labs', 'encounterLabs'],
  vitals: ['vitals', 'encounterVitals'],
  others: ['otherObservations', 'encounterOthers'],
} as const;

/**
 * Vital signs, laboratory results, other observations, medications and allergies as the record has them; no model takes part.
 * @returns The parts, and codes for the warnings.
 */
export function objectiveParts(record: NoteRecord, { include }: DraftRequest): { parts: Part[]; warnings: string[] } {
  const { chart } = record;
  const maker = new PartMaker(record);
  const parts = [
    include.vitals
      ? maker.ofObservations('Vital signs', 'vitals', record.encounterVitals, chart.vitals)
      : leftOut('Vital signs'),
    include.labs
      ? maker.ofObservations('Laboratory results', 'labs', record.encounterLabs, chart.labs)
      : leftOut('Laboratory results'),
    ...maker.ofOthers(),
    include.medications
      ? maker.of(
          'Medications',
          ['MedicationRequest', 'MedicationStatement'],
          ['medicationRequests', 'medicationStatements'],
          [...chart.medicationRequests, ...chart.medicationStatements].map((each) =>
            medicationLine(each, chart.medications)
          ),
          MOST_LINES.medications
        )
      : leftOut('Medications'),
    include.allergies
      ? maker.of(
          'Allergies',
          ['AllergyIntolerance'],
          ['allergies'],
          chart.allergies.map(allergyLine),
          MOST_LINES.allergies
        )
      : leftOut('Allergies'),
  ];
  return { parts, warnings: maker.warnings };
}

/** Said, for a reader would take silence for "none". */
function leftOut(title: string): Part {
  return { title, lines: [], remarks: ['Not part of this document, as its author chose.'] };
}

class PartMaker {
  readonly #record: NoteRecord;
  readonly #warnings = new Set<string>();

  constructor(record: NoteRecord) {
    this.#record = record;
  }

  get warnings(): string[] {
    return [...this.#warnings];
  }

  /** What has no category of a list above: a result without one must not read as if there were none. */
  ofOthers(): Part[] {
    const { encounterOthers, chart } = this.#record;
    const found = this.ofObservations('Other observations', 'others', encounterOthers, chart.otherObservations);
    return found.lines.length > 0 ? [found] : [];
  }

  ofObservations(
    title: string,
    part: keyof typeof OBSERVATION_PARTS,
    ofEncounter: readonly Observation[],
    ofPatient: readonly Observation[]
  ): Part {
    const encounter = `Encounter/${this.#record.encounter.id}`;
    const { chosen, earlier } = selectObservations(ofEncounter, ofPatient, encounter);
    const lines = chosen.map((each) => observationLine(each, each.encounter?.reference === encounter));
    const made = this.of(title, ['Observation'], OBSERVATION_PARTS[part], lines, MOST_LINES.observations);
    return earlier === 0
      ? made
      : { ...made, remarks: [...made.remarks, `${earlier} earlier values of this encounter are not listed.`] };
  }

  of(title: string, types: readonly string[], parts: readonly string[], lines: readonly Line[], most: number): Part {
    const { unreadable, incomplete, sight } = this.#record;
    const remarks: string[] = [];
    const hidden = types.filter((type) => unreadable.has(type));
    for (const type of hidden) {
      this.#warnings.add('RECORD_NOT_READABLE');
      remarks.push(`${type}: not readable with the author's rights. Whether there are any is not known.`);
    }
    if (lines.length > most || parts.some((part) => incomplete.has(part))) {
      this.#warnings.add('RECORD_INCOMPLETE');
      remarks.push('The record holds more than is listed here.');
    }
    if (types.some((type) => !unreadable.has(type) && sight.fieldsHidden(type))) {
      this.#warnings.add('FIELDS_HIDDEN');
      remarks.push("Some details are hidden from the author's rights.");
    }
    // Only a complete read can tell that there is nothing.
    if (lines.length === 0 && hidden.length === 0) {
      const partly = types.some((type) => sight.resourcesHidden(type));
      remarks.push(partly ? 'None among the records that the author may read.' : 'None documented.');
    }
    return { title, lines: lines.slice(0, most), remarks };
  }
}
