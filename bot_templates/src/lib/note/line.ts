import type {
  AllergyIntolerance,
  MedicationRequest,
  MedicationStatement,
  Observation,
  ObservationComponent,
} from '@medplum/fhirtypes';
import type { Chart } from '../chart/chart.ts';
import { medicationName } from '../chart/fact.ts';
import { conceptText, conceptWords, listed, periodText, rangeText } from '../record/datatypes.ts';
import { dosageText } from '../record/medication-statement.ts';
import { valueText } from '../record/observation.ts';

/** One resource of the record in one line, written by code. */
export interface Line {
  /** What it is: a test, a medicine, an allergy. */
  name: string;
  /** What the record says of it, to the letter. */
  says: string;
  /** `Type/id` */
  source: string;
}

/** The whole line, as evidence quotes it. */
export function lineText({ name, says }: Line): string {
  return says === '' ? name : `${name}: ${says}`;
}

/** Longest line, in UTF-16 units. What is longer is not cut: half a dosage is another dosage. */
const LONGEST = 600;

/** `Potassium (LOINC 2823-3): 5.9 mmol/L; High; reference range 3.5 mmol/L to 5.1 mmol/L; 2024-05-01` */
export function observationLine(observation: Observation, ofEncounter: boolean): Line {
  return lineOf(observation, conceptText(observation.code) ?? 'Observation without a name', [
    measured(observation),
    ...(observation.component ?? []).map((component) =>
      listed([conceptText(component.code) ?? 'component', measured(component)], ' ')
    ),
    conceptWords(observation.bodySite && [observation.bodySite]),
    observation.status === 'final' ? undefined : `status ${observation.status}`,
    whenObserved(observation) ?? 'without a date',
    ofEncounter ? undefined : 'not of this encounter',
  ]);
}

/** When it was observed, as the record has it. */
export function whenObserved(observation: Observation): string | undefined {
  return (
    observation.effectiveDateTime ??
    observation.effectiveInstant ??
    periodText(observation.effectivePeriod) ??
    (observation.issued && `issued ${observation.issued}`)
  );
}

function measured(part: Observation | ObservationComponent): string | undefined {
  const reason = conceptWords(part.dataAbsentReason && [part.dataAbsentReason]);
  const ranges = (part.referenceRange ?? []).map((range) => range.text ?? rangeText(range));
  const range = listed(ranges);
  return listed(
    [
      valueText(part),
      reason && `no value: ${reason}`,
      conceptWords(part.interpretation),
      range && `reference range ${range}`,
    ],
    '; '
  );
}

/** `Metformin 500 mg (RxNorm 861007): 500 mg twice daily; ordered, active; 2024-01-02` */
export function medicationLine(
  resource: MedicationRequest | MedicationStatement,
  medications: Chart['medications']
): Line {
  const request = resource.resourceType === 'MedicationRequest' ? resource : undefined;
  const statement = resource.resourceType === 'MedicationStatement' ? resource : undefined;
  const name = medicationName(resource, medications) ?? 'Medication whose name is not in the record or not readable';
  return lineOf(resource, request?.doNotPerform ? `NOT to be given: ${name}` : name, [
    ...(request?.dosageInstruction ?? statement?.dosage ?? []).map(dosageText),
    `${request ? intentWords(request) : 'reported'}, ${resource.status}`,
    request?.authoredOn ??
      statement?.effectiveDateTime ??
      periodText(statement?.effectivePeriod) ??
      statement?.dateAsserted,
  ]);
}

/** A proposal or plan is no order, and must not read like one. */
function intentWords({ intent }: MedicationRequest): string {
  return intent.endsWith('order') ? 'ordered' : `${intent}, not an order`;
}

/** `Penicillin (SNOMED CT 91936005): criticality high; reaction hives, moderate; unconfirmed; 2019` */
export function allergyLine(allergy: AllergyIntolerance): Line {
  const reactions = (allergy.reaction ?? []).map(({ substance, manifestation, severity }) =>
    listed([conceptWords(substance && [substance]), conceptWords(manifestation), severity])
  );
  return lineOf(allergy, conceptText(allergy.code) ?? 'Allergy without a name', [
    allergy.type,
    allergy.criticality && `criticality ${allergy.criticality}`,
    ...reactions.map((reaction) => reaction && `reaction ${reaction}`),
    conceptWords(allergy.verificationStatus && [allergy.verificationStatus]),
    allergy.onsetDateTime ?? allergy.recordedDate,
  ]);
}

function lineOf(
  resource: { resourceType: string; id?: string },
  name: string,
  says: readonly (string | undefined)[]
): Line {
  const line = {
    name: oneLine(name),
    says: oneLine(listed(says, '; ') ?? ''),
    source: `${resource.resourceType}/${resource.id}`,
  };
  if (lineText(line).length <= LONGEST) {
    return line;
  }
  const short = line.name.length <= LONGEST / 2 ? line.name : resource.resourceType;
  return { ...line, name: short, says: `too long to be shown here, see ${line.source}` };
}

/** Controls that reorder or hide what is displayed: a value must look as it is stored. */
const DECEIVING = /[\u200b\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/** A text in one line, so that no line of a record can pass for a heading of the document. */
export function oneLine(text: string): string {
  return text
    .replace(DECEIVING, '')
    .replace(/[\s\u0000-\u001f\u007f-\u009f]+/g, ' ')
    .trim()
    .toWellFormed();
}
