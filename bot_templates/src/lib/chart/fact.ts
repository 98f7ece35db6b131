import type {
  AllergyIntolerance,
  Condition,
  Immunization,
  Medication,
  MedicationRequest,
  MedicationStatement,
  Observation,
  Procedure,
} from '@medplum/fhirtypes';
import { conditionText } from '../record/condition.ts';
import { conceptText, conceptWords, dayOf, labelled, listed, noteText } from '../record/datatypes.ts';
import { dosageText, medicationText } from '../record/medication-statement.ts';
import { resultText } from '../record/observation.ts';
import type { Chart } from './chart.ts';

/** One resource of a record in words, written by code: what it says, verbatim, and where it stands. */
export interface Fact {
  /** `Type/id` */
  reference: string;
  /** Day, month or year. */
  date: string | undefined;
  title: string;
  /** Lines `Label: value`. */
  text: string;
}

export type Charted =
  | Condition
  | MedicationRequest
  | MedicationStatement
  | AllergyIntolerance
  | Observation
  | Procedure
  | Immunization;

/** A resource in words, never with a person's name. */
export function factOf(resource: Charted, medications: Chart['medications']): Fact {
  const reference = `${resource.resourceType}/${resource.id}`;
  switch (resource.resourceType) {
    case 'Condition': {
      const { date, sections } = conditionText(resource);
      return { reference, date, title: words(resource.code), text: listed(sections.map(({ text }) => text), '\n') ?? '' };
    }
    case 'Observation':
      return {
        reference,
        date: dayOf(resource.effectiveDateTime ?? resource.effectivePeriod?.start ?? resource.issued),
        title: words(resource.code),
        text: listed([resultText(resource), noteText(resource.note)], '\n') ?? '',
      };
    case 'MedicationRequest':
    case 'MedicationStatement':
      return { reference, ...medicationFact(resource, medications) };
    case 'AllergyIntolerance':
      return { reference, ...allergyFact(resource) };
    case 'Procedure':
      return {
        reference,
        date: dayOf(resource.performedDateTime ?? resource.performedPeriod?.start),
        title: words(resource.code),
        text: labelled([
          ['Procedure', conceptText(resource.code)],
          ['Status', resource.status],
          ['Outcome', conceptWords(resource.outcome && [resource.outcome])],
          ['Note', noteText(resource.note)],
        ]),
      };
    case 'Immunization':
      return {
        reference,
        date: dayOf(resource.occurrenceDateTime),
        title: words(resource.vaccineCode),
        text: labelled([
          ['Immunization', conceptText(resource.vaccineCode)],
          ['Status', resource.status],
        ]),
      };
  }
}

/** The medication of a request or statement in words, wherever it is described; undefined when nothing names it. */
export function medicationName(
  resource: MedicationRequest | MedicationStatement,
  medications: Chart['medications']
): string | undefined {
  const described = medicationOf(resource, medications);
  return conceptText(resource.medicationCodeableConcept) ?? (described && medicationText(described));
}

/** The Medication that a request or statement refers to: a contained one, or one that came with the chart. */
export function medicationOf(
  resource: MedicationRequest | MedicationStatement,
  medications: Chart['medications']
): Medication | undefined {
  const reference = resource.medicationReference?.reference;
  const contained = resource.contained?.find(({ id }) => `#${id}` === reference);
  return contained?.resourceType === 'Medication' ? contained : medications.get(reference ?? '');
}

function medicationFact(
  resource: MedicationRequest | MedicationStatement,
  medications: Chart['medications']
): Omit<Fact, 'reference'> {
  const request = resource.resourceType === 'MedicationRequest' ? resource : undefined;
  const statement = resource.resourceType === 'MedicationStatement' ? resource : undefined;
  const name = medicationName(resource, medications);
  return {
    date: dayOf(request?.authoredOn ?? statement?.effectiveDateTime ?? statement?.effectivePeriod?.start),
    title: name ?? 'Medication without a name',
    text: labelled([
      ['Medication', name],
      ['Not to be given', request?.doNotPerform ? 'yes, it is ordered not to give it' : undefined],
      ['Status', resource.status],
      ...(request?.dosageInstruction ?? statement?.dosage ?? []).map((dosage) => ['Dosage', dosageText(dosage)] as const),
      ['Reason', listed((resource.reasonCode ?? []).map(conceptText))],
      ['Note', noteText(resource.note)],
    ]),
  };
}

function allergyFact(allergy: AllergyIntolerance): Omit<Fact, 'reference'> {
  const reactions = (allergy.reaction ?? []).map((reaction) =>
    listed([conceptWords(reaction.manifestation), reaction.severity], ', ')
  );
  return {
    date: dayOf(allergy.onsetDateTime ?? allergy.recordedDate),
    title: words(allergy.code),
    text: labelled([
      ['Allergy', conceptText(allergy.code)],
      ['Criticality', allergy.criticality],
      ['Reaction', listed(reactions, '; ')],
      ['Clinical status', conceptWords(allergy.clinicalStatus && [allergy.clinicalStatus])],
      ['Verification', conceptWords(allergy.verificationStatus && [allergy.verificationStatus])],
      ['Note', noteText(allergy.note)],
    ]),
  };
}

function words(concept: Parameters<typeof conceptText>[0]): string {
  return conceptWords(concept && [concept]) ?? 'without a name';
}
