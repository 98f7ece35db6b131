import type { ChartPart } from '../chart/chart.ts';
import type { Measure } from './measures.ts';
import { namedMeasures } from './named-measures.ts';
import type { QuestionType, RagQuestion } from './question.ts';

/** What a question wants, as far as its words tell. */
export interface Asked {
  type: QuestionType;
  /** Measures that it names; each is looked up whole. */
  measures: Measure[];
  /** Parts of the chart that it asks for as such. */
  parts: ReadonlySet<ChartPart>;
  /** It wants the course of values, and names none: every series of the chart may be meant. */
  everySeries: boolean;
}

/** Words of a course of time. English, German, French, Spanish. */
const COURSE =
  /\btrend|over time\b|\bover the (?:last|past)\b|\bcourse of\b|\bdevelop(?:ed|ment|ing)?\b|\bevol(?:ution|ved?|ving)\b|\bprogress(?:ed|ing|ion)?\b|\b(?:chang|improv|worsen|deteriorat|increas|decreas)\w{1,6}\b|\b(?:ris(?:e|en|ing)|rose|fall(?:en|ing)?|fell|drop(?:ped|ping)?|higher|lower|up or down|going (?:up|down))\b|\b(?:previous|earlier|prior|all|past|last (?:two|three|four|five|few|\d{1,2}))\s(?:[\w-]{1,20}\s){0,3}(?:values?|results?|readings?|measurements?|levels?)\b|\bhistory of (?:values|results)\b|\bcompared? (?:to|with)\b|\bverlauf|\bentwickl|\bverander|\bgestiegen|\bgesunken|\btendance|\bevolucion|\btendencia|\bcambiado/i;

/** Words by which a question asks for a part of the chart. */
const PARTS: readonly [RegExp, readonly ChartPart[]][] = [
  [
    /\bmedic(?:ation|ine|ament|acion)|\bdrugs?\b|\bprescri|\bpills?\b|\btablets?\b|\bdos(?:e|es|age|is)\b|\btak(?:e|es|ing)\b|\bmedikament|\barznei|\bfarmac|\btreated with\b|\btherapy\b/i,
    ['medicationRequests', 'medicationStatements'],
  ],
  [/\ballerg|\bintoleran|\bhypersensitiv|\bunvertraglich/i, ['allergies']],
  [
    /\bdiagnos|\bconditions?\b|\bproblems?\b|\bdiseases?\b|\bdisorders?\b|\bcomorbid|\bmedical history\b|\bsuffer|\berkrank|\bvorerkrank|\bmaladies?\b|\benfermedad|\bantecedent/i,
    ['conditions'],
  ],
  [
    /\blabs?\b|\blaborator|\bblood (?:tests?|work|results?)\b|\btest results?\b|\bresults?\b|\blaborwert|\banalyses?\b|\banalitic/i,
    ['labs'],
  ],
  [/\bvitals?\b|\bvital signs?\b|\bvitalzeichen|\bsignes vitaux|\bsignos vitales/i, ['vitals']],
  [
    /\bsurger|\bsurgical|\boperation|\bprocedure|\boperat(?:ed|ion)\b|\bintervention|\boperiert|\bcirugia|\boperado/i,
    ['procedures'],
  ],
  [/\bvaccin|\bimmuni[sz]|\bshots?\b|\bimpf|\bvacuna/i, ['immunizations']],
];

const PARTS_OF_TYPE: Record<QuestionType, readonly ChartPart[]> = {
  general: [],
  trend: [],
  lab: ['labs'],
  medication: ['medicationRequests', 'medicationStatements'],
  history: ['conditions', 'procedures', 'immunizations'],
};

/** Reads a question; a type that was given goes before what its words tell. */
export function askedBy({ question, questionType }: RagQuestion): Asked {
  const plain = question.normalize('NFKD').replace(/[\u0300-\u036f]/g, '');
  const measures = namedMeasures(question);
  const ofWords = PARTS.filter(([words]) => words.test(plain)).flatMap(([, parts]) => parts);
  const course = COURSE.test(plain);
  const type = questionType ?? typeOf(measures, ofWords, course);
  const parts = new Set([...PARTS_OF_TYPE[type], ...ofWords]);
  const ofCourse = type === 'trend' && (questionType === 'trend' || parts.has('labs') || parts.has('vitals'));
  return { type, measures, parts, everySeries: ofCourse && measures.length === 0 };
}

function typeOf(measures: readonly Measure[], parts: readonly ChartPart[], course: boolean): QuestionType {
  if (course && (measures.length > 0 || parts.includes('labs') || parts.includes('vitals'))) {
    return 'trend';
  }
  if (measures.length > 0 || parts.includes('labs')) {
    return 'lab';
  }
  if (parts.includes('medicationRequests')) {
    return 'medication';
  }
  return parts.some((part) => PARTS_OF_TYPE.history.includes(part)) ? 'history' : 'general';
}
