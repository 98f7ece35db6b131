import type {
  Age,
  Annotation,
  CodeableConcept,
  Coding,
  Period,
  Quantity,
  Range,
  Ratio,
  Timing,
} from '@medplum/fhirtypes';

/** Short names of the code systems that clinicians know by name. */
const SYSTEM_NAMES: Record<string, string> = {
  'http://loinc.org': 'LOINC',
  'http://snomed.info/sct': 'SNOMED CT',
  'http://www.nlm.nih.gov/research/umls/rxnorm': 'RxNorm',
  'http://hl7.org/fhir/sid/icd-10-cm': 'ICD-10-CM',
  'http://hl7.org/fhir/sid/icd-10': 'ICD-10',
  'http://hl7.org/fhir/sid/ndc': 'NDC',
  'http://hl7.org/fhir/sid/cvx': 'CVX',
};

/** A concept in words, then its codes of known systems: `Haemoglobin A1c (LOINC 4548-4)`. */
export function conceptText(concept: CodeableConcept | undefined): string | undefined {
  const codings = concept?.coding ?? [];
  const words = concept?.text ?? codings.find((coding) => coding.display)?.display ?? codings[0]?.code;
  const codes = codings.map(namedCode).filter((code) => code !== undefined && !words?.includes(code));
  return words && codes.length > 0 ? `${words} (${codes.join(', ')})` : words;
}

/** Concepts in words, without their codes. */
export function conceptWords(concepts: readonly CodeableConcept[] | undefined): string | undefined {
  const words = (concepts ?? []).map(
    ({ text, coding }) => text ?? coding?.find((each) => each.display)?.display ?? coding?.[0]?.code
  );
  return listed(words);
}

function namedCode(coding: Coding): string | undefined {
  const system = SYSTEM_NAMES[coding.system ?? ''];
  return system && coding.code ? `${system} ${coding.code}` : undefined;
}

/** `< 5 mg/dL` */
export function quantityText(quantity: Quantity | Age | undefined): string | undefined {
  if (quantity?.value === undefined) {
    return undefined;
  }
  return listed([quantity.comparator, String(quantity.value), quantity.unit ?? quantity.code], ' ');
}

/** `4 % to 5.6 %`, `at least 4 %`, `at most 5.6 %` */
export function rangeText(range: Range | { low?: Quantity; high?: Quantity } | undefined): string | undefined {
  const low = quantityText(range?.low);
  const high = quantityText(range?.high);
  if (low && high) {
    return `${low} to ${high}`;
  }
  return low ? `at least ${low}` : high && `at most ${high}`;
}

/** `1 mg per 2 mL` */
export function ratioText(ratio: Ratio | undefined): string | undefined {
  return listed([quantityText(ratio?.numerator), quantityText(ratio?.denominator)], ' per ');
}

/** `2024-01-02 to 2024-02-03`, `since 2024-01-02`, `until 2024-02-03` */
export function periodText(period: Period | undefined): string | undefined {
  if (period?.start && period.end) {
    return `${period.start} to ${period.end}`;
  }
  return period?.start ? `since ${period.start}` : period?.end && `until ${period.end}`;
}

/** The day, month or year that a FHIR date, dateTime or instant begins with. */
export function dayOf(date: string | undefined): string | undefined {
  return /^\d{4}(?:-\d{2}(?:-\d{2})?)?/.exec(date ?? '')?.[0];
}

/** The texts of notes, without who wrote them. */
export function noteText(notes: readonly Annotation[] | undefined): string {
  return (notes ?? []).map((note) => note.text ?? '').join('\n\n');
}

/** When something is done: the given words, else frequency and period. */
export function timingText(timing: Timing | undefined): string | undefined {
  const words = conceptWords(timing?.code && [timing.code]);
  const { frequency, period, periodUnit, when, boundsPeriod } = timing?.repeat ?? {};
  const rate = period && periodUnit ? `${frequency ?? 1} time(s) per ${period} ${periodUnit}` : undefined;
  return listed([words ?? rate, when && listed(when), periodText(boundsPeriod)]);
}

/** The parts that are there, joined. */
export function listed(parts: readonly (string | undefined)[], separator = ', '): string | undefined {
  const present = parts.filter((part) => part !== undefined && part !== '');
  return present.length > 0 ? present.join(separator) : undefined;
}

/** Lines `Label: value`, one a value that is there. */
export function labelled(lines: readonly (readonly [label: string, value: string | undefined])[]): string {
  return lines
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([label, value]) => `${label}: ${value}`)
    .join('\n');
}
