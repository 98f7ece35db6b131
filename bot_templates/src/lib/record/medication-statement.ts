import type { Dosage, DosageDoseAndRate, Medication, MedicationStatement } from '@medplum/fhirtypes';
import { referencedId } from '../ids.ts';
import {
  conceptText,
  conceptWords,
  dayOf,
  labelled,
  listed,
  noteText,
  periodText,
  quantityText,
  rangeText,
  ratioText,
  timingText,
} from './datatypes.ts';
import type { RecordSources, RecordText, Skipped } from './record-text.ts';

/** A MedicationStatement in words, its medication looked up where it is a reference. */
export async function medicationStatementText(
  statement: MedicationStatement,
  sources: Pick<RecordSources, 'medication'>
): Promise<RecordText> {
  const skipped: Skipped[] = [];
  const medication =
    conceptText(statement.medicationCodeableConcept) ?? (await referencedMedication(statement, sources));
  if (medication === undefined) {
    skipped.push({ reason: 'the medication is named by no code, and its Medication could not be read' });
  }
  return {
    date: dayOf(statement.effectiveDateTime ?? statement.effectivePeriod?.start ?? statement.dateAsserted),
    sections: [
      {
        title: 'Medication',
        contentType: 'structured',
        text: labelled([
          ['Medication', medication],
          ['Status', statement.status],
          ['Status reason', conceptWords(statement.statusReason)],
          ...(statement.dosage ?? []).map((dosage) => ['Dosage', dosageText(dosage)] as const),
          ['Reason', listed((statement.reasonCode ?? []).map(conceptText))],
          ['Taken', statement.effectiveDateTime ?? periodText(statement.effectivePeriod)],
        ]),
      },
      { title: 'Note', contentType: 'note', text: noteText(statement.note) },
    ],
    skipped,
  };
}

async function referencedMedication(
  statement: MedicationStatement,
  sources: Pick<RecordSources, 'medication'>
): Promise<string | undefined> {
  const reference = statement.medicationReference?.reference;
  if (reference?.startsWith('#')) {
    const contained = statement.contained?.find((resource) => `#${resource.id}` === reference);
    return contained?.resourceType === 'Medication' ? medicationText(contained) : undefined;
  }
  const id = referencedId(reference, 'Medication');
  const medication = id === undefined ? undefined : await sources.medication(id);
  return medication && medicationText(medication);
}

/** A Medication in words, with its ingredients. */
export function medicationText(medication: Medication): string | undefined {
  const ingredients = (medication.ingredient ?? []).map((ingredient) =>
    listed([conceptText(ingredient.itemCodeableConcept), ratioText(ingredient.strength)], ' ')
  );
  return listed([conceptText(medication.code), conceptWords(medication.form && [medication.form]), ...ingredients]);
}

/** A dosage in words. */
export function dosageText(dosage: Dosage): string | undefined {
  const coded = listed([
    ...(dosage.doseAndRate ?? []).map(doseText),
    conceptWords(dosage.route && [dosage.route]),
    timingText(dosage.timing),
    dosage.asNeededBoolean ? 'as needed' : undefined,
    dosage.asNeededCodeableConcept && `as needed for ${conceptWords([dosage.asNeededCodeableConcept]) ?? 'a reason'}`,
  ]);
  return listed([dosage.text, coded, dosage.patientInstruction], '; ');
}

function doseText(dose: DosageDoseAndRate): string | undefined {
  return listed(
    [
      quantityText(dose.doseQuantity) ?? rangeText(dose.doseRange),
      quantityText(dose.rateQuantity) ?? ratioText(dose.rateRatio) ?? rangeText(dose.rateRange),
    ],
    ' at '
  );
}
