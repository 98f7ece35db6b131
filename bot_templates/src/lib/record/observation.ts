import type { Observation, ObservationComponent } from '@medplum/fhirtypes';
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
} from './datatypes.ts';
import type { RecordText } from './record-text.ts';

/** An Observation in words. */
export function observationText(observation: Observation): RecordText {
  return {
    date: dayOf(
      observation.effectiveDateTime ??
        observation.effectivePeriod?.start ??
        observation.effectiveInstant ??
        observation.issued
    ),
    sections: [
      { title: 'Result', contentType: 'structured', text: resultText(observation) },
      { title: 'Note', contentType: 'note', text: noteText(observation.note) },
    ],
    skipped: [],
  };
}

/** Everything measured, one statement a line; a report lists the same lines. */
export function resultText(observation: Observation): string {
  return labelled([
    ['Observation', conceptText(observation.code)],
    ...measured(observation),
    ...(observation.component ?? []).flatMap((component) => {
      const values = measured(component).map(([label, value]) =>
        label === 'Value' ? value : value && `${label} ${value}`
      );
      return [[conceptText(component.code) ?? 'Component', listed(values)] as const];
    }),
    ['Category', conceptWords(observation.category)],
    ['Body site', conceptWords(observation.bodySite && [observation.bodySite])],
    ['Status', observation.status],
    ['Date', observation.effectiveDateTime ?? periodText(observation.effectivePeriod) ?? observation.effectiveInstant],
  ]);
}

/** What an Observation and its components have in common. */
function measured(part: Observation | ObservationComponent): (readonly [string, string | undefined])[] {
  return [
    ['Value', valueText(part)],
    ['No value because', conceptWords(part.dataAbsentReason && [part.dataAbsentReason])],
    ['Interpretation', conceptWords(part.interpretation)],
    ['Reference range', listed((part.referenceRange ?? []).map((range) => range.text ?? rangeText(range)))],
  ];
}

/** A value of whichever kind. */
export function valueText(part: Observation | ObservationComponent): string | undefined {
  const sampled = part.valueSampledData;
  return (
    quantityText(part.valueQuantity) ??
    conceptText(part.valueCodeableConcept) ??
    part.valueString ??
    (part.valueBoolean === undefined ? undefined : part.valueBoolean ? 'yes' : 'no') ??
    (part.valueInteger === undefined ? undefined : String(part.valueInteger)) ??
    rangeText(part.valueRange) ??
    ratioText(part.valueRatio) ??
    part.valueTime ??
    part.valueDateTime ??
    periodText(part.valuePeriod) ??
    // The samples themselves are no words.
    (sampled && `series of samples, one each ${sampled.period} ms`)
  );
}
