import type { CodeableConcept } from '@medplum/fhirtypes';
import { conceptWords } from '../record/datatypes.ts';
import { GROUPS, type Measure, MEASURES } from './measures.ts';

const LOINC = 'http://loinc.org';

/** What an Observation or a component of one is about. */
export interface Subject {
  /** Equal for what may be compared: the LOINC code, another code with its system, or else the words. */
  key: string;
  /** LOINC code. */
  loinc: string | undefined;
  /** `system|code` by which a server finds it; undefined where there is none. */
  token: string | undefined;
  /** As the record has it. */
  name: string;
}

/** What a concept measures; undefined where it says nothing. */
export function subjectOf(concept: CodeableConcept | undefined): Subject | undefined {
  const name = concept && conceptWords([concept]);
  if (name === undefined) {
    return undefined;
  }
  const codings = (concept?.coding ?? []).filter(({ system, code }) => system && code);
  const coding = codings.find(({ system }) => system === LOINC) ?? codings[0];
  const token = coding && `${coding.system}|${coding.code}`;
  return {
    key: token ?? `text|${words(name)}`,
    loinc: coding?.system === LOINC ? coding.code : undefined,
    token,
    name,
  };
}

/** What a question asks to be measured, recognised by its words; in the order of the list, each once. */
export function namedMeasures(question: string): Measure[] {
  let rest = ` ${words(question)} `;
  const found = new Set<string>();
  for (const { term, names, exact } of TERMS) {
    const there = exact ? exactly(question, term) : rest.includes(` ${term} `);
    if (there) {
      // `hemoglobin a1c` is no hemoglobin: the longest term takes its words with it.
      rest = rest.replaceAll(` ${term} `, ' | ');
      names.forEach((name) => found.add(name));
    }
  }
  const codes = question.match(/(?<![\w.-])\d{3,7}-\d(?![\w-])/g) ?? [];
  const unnamed = codes.filter((code) => !MEASURES.some((measure) => measure.codes.includes(code)));
  return [
    ...MEASURES.filter(({ name, codes: known }) => found.has(name) || codes.some((code) => known.includes(code))),
    ...[...new Set(unnamed)].map((code) => ({ name: code, codes: [code], terms: [] })),
  ];
}

/** Whether a measure is what the record calls so: by its LOINC code, or by its whole name where it has no code. */
export function isMeasured({ codes, terms, name }: Measure, subject: Subject): boolean {
  if (subject.loinc !== undefined) {
    return codes.includes(subject.loinc);
  }
  return [name, ...terms].some((term) => words(term) === words(subject.name));
}

/** Our own name of what is measured, which a question is more likely to use than the record's. */
function measureNameOf(subject: Subject): string | undefined {
  return MEASURES.find((measure) => isMeasured(measure, subject))?.name;
}

/** `HbA1c: Hemoglobin A1c`: the name that a question uses, and the record's. */
export function measureTitle(subject: Subject): string {
  const name = measureNameOf(subject);
  return name === undefined || subject.name.toLowerCase().includes(name.toLowerCase())
    ? subject.name
    : `${name}: ${subject.name}`;
}

/** Whether a question has the name that the record gives to what it measures, such as `Homocysteine`. */
export function isNamedIn(question: string, subject: Subject): boolean {
  // LOINC's names go on with property and specimen: `Homocysteine [Moles/volume] in Serum or Plasma`.
  const [short = ''] = subject.name.split(/\s*\[|\s+in\s+|\s*\(|,/);
  const name = words(short);
  return name.length >= 4 && !COMMON.has(name) && ` ${words(question)} `.includes(` ${name} `);
}

/** Names so general that a question which has them need not mean the measure. */
const COMMON = new Set('test result value score level blood urine status history note date time pain'.split(' '));

/** All terms, the longest first. */
const TERMS: readonly { term: string; names: readonly string[]; exact: boolean }[] = [
  ...MEASURES.flatMap(({ name, terms }) => terms.map((term) => ({ term, names: [name] }))),
  ...GROUPS.flatMap(({ terms, measures }) => terms.map((term) => ({ term, names: measures }))),
]
  .map(({ term, names }) => ({ term: /[A-Z]/.test(term) ? term : words(term), names, exact: /[A-Z]/.test(term) }))
  .sort((one, other) => other.term.length - one.term.length);

function exactly(question: string, term: string): boolean {
  return ` ${question.replace(/[^\p{L}\p{N}]+/gu, ' ')} `.includes(` ${term} `);
}

/** Lower case, without accents, words parted by one space. */
function words(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/[\u0300-\u036f]/g, '')
    .toLowerCase()
    .replace(/ß/g, 'ss')
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}
