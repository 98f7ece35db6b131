import type { Condition } from '@medplum/fhirtypes';
import {
  conceptText,
  conceptWords,
  dayOf,
  labelled,
  noteText,
  periodText,
  quantityText,
  rangeText,
} from './datatypes.ts';
import type { RecordText } from './record-text.ts';

/** A Condition in words. */
export function conditionText(condition: Condition): RecordText {
  return {
    date: dayOf(condition.onsetDateTime ?? condition.onsetPeriod?.start ?? condition.recordedDate),
    sections: [
      {
        title: 'Condition',
        contentType: 'structured',
        text: labelled([
          ['Condition', conceptText(condition.code)],
          ['Clinical status', conceptWords(condition.clinicalStatus && [condition.clinicalStatus])],
          ['Verification', conceptWords(condition.verificationStatus && [condition.verificationStatus])],
          ['Severity', conceptWords(condition.severity && [condition.severity])],
          ['Category', conceptWords(condition.category)],
          ['Body site', conceptWords(condition.bodySite)],
          ['Onset', onset(condition)],
          ['Abatement', abatement(condition)],
        ]),
      },
      { title: 'Note', contentType: 'note', text: noteText(condition.note) },
    ],
    skipped: [],
  };
}

function onset(condition: Condition): string | undefined {
  const age = quantityText(condition.onsetAge);
  return (
    condition.onsetDateTime ??
    (age && `at the age of ${age}`) ??
    periodText(condition.onsetPeriod) ??
    rangeText(condition.onsetRange) ??
    condition.onsetString
  );
}

function abatement(condition: Condition): string | undefined {
  const age = quantityText(condition.abatementAge);
  return (
    condition.abatementDateTime ??
    (age && `at the age of ${age}`) ??
    periodText(condition.abatementPeriod) ??
    rangeText(condition.abatementRange) ??
    condition.abatementString
  );
}
