import { partsOfDate, takeDates } from './dates.ts';

/**
 * What a text says in figures, each in one spelling: numbers, dates, times, codes and ids.
 *
 * Each is a list of what it can mean, one of which suffices. A date is no number: the 10 of 2024-01-10 bears out no
 * dose of 10 mg. Nor is a code: LOINC 4548-4 bears out no 4. And `<5` bears out no 5.
 */
type Figures = string[][];

/** The numbers, dates, codes and ids of a text that another text does not have, in their one spelling. */
export function unsupportedNumbers(text: string, said: string): string[] {
  return numbersNotIn(said)(text);
}

/** The same for many texts, each held against what one text says. */
export function numbersNotIn(said: string): (text: string) => string[] {
  const known = new Set(figuresOf(said, true).flat());
  return (text) =>
    figuresOf(text, false)
      .filter((meanings) => !meanings.some((meaning) => known.has(meaning)))
      .map(([first = '']) => first);
}

/** Whether two texts have a number in common that is no date, time, code or id. */
export function sharesNumber(text: string, said: string): boolean {
  const isNumber = (meaning: string): boolean => /^[<>]?-?[\d.]/.test(meaning);
  const known = new Set(figuresOf(said, true).flat().filter(isNumber));
  return figuresOf(text, false)
    .flat()
    .some((meaning) => known.has(meaning));
}

/** A number in its one spelling: `08,20` is 8.2, and `1,200` is 1200. */
export function canonical(number: string): string {
  const grouped = /^\d{1,3}(?:,\d{3})+(?:\.\d+)?$/.test(number) ? number.replaceAll(',', '') : number.replace(',', '.');
  const value = Number(grouped);
  return Number.isFinite(value) ? String(value) : grouped;
}

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
/** A code with its system's name. */
const NAMED_CODE =
  /\b(?:loinc|snomed ct|snomed|rxnorm|ndc|cvx|cpt|hcpcs|icd-10-cm|icd-10|icd-9)(?: codes?)?:? (?=[a-z]{0,3}\d)([\da-z]{1,18}(?:[.-][\da-z]{1,8}){0,3})/g;
const SYSTEM = /\bicd-(?:9|10|11)(?:-cm|-pcs)?\b/g;
/** A code as LOINC writes them, its last figure a check digit. */
const LOINC = /(?<![\w.-])\d{3,7}-\d(?![\w-]|\.\d)/g;
const TIME =
  /(?<![\d:.,])(\d{1,2}):([0-5]\d)(?::[0-5]\d(?:\.\d{1,9})?)?(?![\d:])\s?([ap]\.?m\b)?(?:z\b|[+-]\d{2}:\d{2})?|(?<![\d:.,])(\d{1,2})\s?([ap])\.?m\b/g;
/** `E11.9`, `J45`, `T2N1M0`, `G3a`: letters that begin a code are part of it. */
const CODE = /(?<![\p{L}\p{N}])[a-z]{1,6}\d{1,7}[a-z0-9]{0,12}(?:\.[a-z0-9]{1,6})?(?![\p{L}\p{N}])/gu;
/** Names of what is measured; their figures say nothing of a patient. */
const NAMES =
  /(?<![\p{L}\p{N}])(?:hb ?a1c|hgb ?a1c|a1c|spo2|sao2|pao2|po2|pco2|paco2|co2|hco3|fio2|o2|h2o|vitamin (?:b12|b6|b1|d2|d3)|b12|ft3|ft4|fev1|cd4|cd8|phq-?[29]|gad-?[27]|covid-?19|sars-cov-?2)(?![\p{L}\p{N}])/gu;
const COMPARED =
  '[<>≤≥]=?|(?<!\\p{L})(?:less than|fewer than|lower than|below|under|at most|no more than|up to|more than|greater than|higher than|above|over|exceed(?:s|ed|ing)?|at least)';
const NUMBER = new RegExp(
  String.raw`(?:(?<compared>${COMPARED}) ?)?(?<sign>(?<![\p{L}\p{N})%])(?<!\p{N} )[-−–](?=[\d.]))?(?<![\p{L}\p{N}])(?<!\d[.,])(?<number>\.\d{1,20}|\d{1,20}(?:[.,]\d{1,20}){0,6})`,
  'gu'
);
const POWER = /(?<![\d.,])10(?:\^|\*|e)(-?\d{1,2})(?!\d)/g;
/** Areas and volumes: `m2` and `m²` are units. */
const AREA = /(?<![\p{L}\p{N}])(mm|cm|dm|m|um|µm)\^?[23](?![\p{L}\p{N}])/gu;
const ROMAN = /\b(?:stage|grade|class|type|phase|nyha|asa|ckd)[ :-]{1,3}(?:class |stage )?([ivx]{1,5})[ab]?\b/g;

const UNITS =
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen'.split(
    ' '
  );
const TENS = 'twenty thirty forty fifty sixty seventy eighty ninety'.split(' ');
const WORD = new RegExp(
  `(?<![\\p{L}])(?:(${TENS.join('|')})(?:[ -](${UNITS.slice(1, 10).join('|')}))?|(${UNITS.join('|')}))(?![\\p{L}])`,
  'gu'
);

/** @param all - What a source says: `one` and `two` count, which in a model's sentence mostly are no numbers. */
function figuresOf(text: string, all: boolean): Figures {
  const figures: Figures = [];
  /** Takes what matches out of the text; undefined lets it stand. */
  const take =
    (meant: (groups: (string | undefined)[]) => string[] | undefined) =>
    (...match: unknown[]): string => {
      const meanings = meant(match as (string | undefined)[]);
      if (meanings === undefined) {
        return match[0] as string;
      }
      figures.push(meanings);
      return ' ';
    };
  const coded = latin(text)
    .replace(
      UUID,
      take(([id]) => [`id:${id}`])
    )
    .replace(/(?<=\d{4}-\d{2}-\d{2})t(?=\d{2}:)/g, ' ')
    .replace(
      NAMED_CODE,
      take(([, code]) => [`code:${code}`])
    )
    .replace(SYSTEM, ' ')
    .replace(
      LOINC,
      take(([code]) => [`code:${code}`])
    );
  const { dates, rest } = takeDates(coded, all);
  figures.push(...dates.map((meant) => (all ? meant.flatMap(partsOfDate) : meant).map((date) => `date:${date}`)));
  rest
    .replace(
      TIME,
      take(([, hour, minute, half, bare, bareHalf]) => [timeOf(hour ?? bare, minute, half ?? bareHalf)])
    )
    .replace(AREA, '$1')
    .replace(
      POWER,
      take(([, power]) => [`power:${power}`])
    )
    .replace(
      ROMAN,
      take(([, roman]) => arabic(roman))
    )
    .replace(NAMES, ' ')
    .replace(
      CODE,
      take(([code]) => meaningOfCode(code as string))
    )
    .replace(
      WORD,
      take(([, ten, unit, small]) => meaningOfWord(ten, unit, small, all))
    )
    .replace(NUMBER, (...match) => {
      const [index, line, groups] = match.slice(-3) as [number, string, Record<string, string | undefined>];
      // A dash that begins a line may be a bullet.
      const bullet = groups.sign !== undefined && /(?:^|\n) {0,4}$/.test(line.slice(Math.max(0, index - 5), index));
      figures.push(meaningsOfNumber(groups, bullet, all));
      return ' ';
    });
  return figures;
}

/** Lower case without accents; figures of every script as ours, and those set high or low after a mark. */
function latin(text: string): string {
  return text
    .replace(/[⁰¹²³⁴-⁹]+/g, '^$&')
    .replace(/(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))/g, ',')
    .normalize('NFKD')
    .replace(/(?<=[a-z])[\u0300-\u036f]+/gi, '')
    .replace(/\p{Nd}/gu, latinDigit)
    .replace(/(?<=\d)[٫](?=\d)/g, '.')
    .replace(/(?<=\d)[٬'’](?=\d{3})/g, ',')
    .toLowerCase();
}

function latinDigit(digit: string): string {
  const code = digit.codePointAt(0) as number;
  if (code <= 0x39) {
    return digit;
  }
  // Decimal digits of a script stand in runs of ten, the zero first.
  let zero = code;
  while (/\p{Nd}/u.test(String.fromCodePoint(zero - 1)) && code - zero < 9) {
    zero--;
  }
  return String(code - zero);
}

function timeOf(hour = '', minute = '00', half: string | undefined): string {
  const base = Number(hour) % (half ? 12 : 24);
  return `time:${base + (half?.startsWith('p') ? 12 : 0)}:${minute}`;
}

const ROMANS = ['i', 'ii', 'iii', 'iv', 'v', 'vi', 'vii', 'viii', 'ix', 'x'];

function arabic(roman: string | undefined): string[] | undefined {
  const value = ROMANS.indexOf(roman ?? '') + 1;
  return value === 0 ? undefined : [String(value)];
}

function meaningOfCode(code: string): string[] {
  const times = /^[qx](\d{1,3})(?:h|hrly|d)?$/.exec(code)?.[1];
  return times === undefined ? [`code:${code}`] : [canonical(times)];
}

function meaningOfWord(
  ten: string | undefined,
  unit: string | undefined,
  small: string | undefined,
  all: boolean
): string[] | undefined {
  const value =
    ten === undefined ? UNITS.indexOf(small ?? '') : 20 + 10 * TENS.indexOf(ten) + (unit ? UNITS.indexOf(unit) : 0);
  return value < 3 && !all ? undefined : [String(value)];
}

function meaningsOfNumber(
  { compared, sign, number = '' }: Record<string, string | undefined>,
  bullet: boolean,
  all: boolean
): string[] {
  const value = canonical(number);
  const signed = sign === undefined ? value : `-${value}`;
  const side = compared && (/^(?:[<≤]|less|fewer|lower|below|under|at most|no more|up to)/.test(compared) ? '<' : '>');
  const sided = side ? [`${side}${signed}`] : [];
  if (all) {
    // Only a sign is sure to mean the comparison: `over` may mean something else.
    const only = compared !== undefined && /^[<>≤≥]/.test(compared);
    return [...sided, ...(only ? [] : [signed]), ...(bullet ? [value] : [])];
  }
  const year = /^(?:19|20)\d{2}$/.test(value) ? [`date:${value}`] : [];
  const code = /^\d{4,}$/.test(number) ? [`code:${number}`] : [];
  return [...sided, signed, ...(bullet ? [value] : []), ...year, ...code];
}
