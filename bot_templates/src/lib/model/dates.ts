/** The dates of a text, and the text without them. */
export interface Dates {
  /** Each with every day, month or year that it can mean: `03/04/2024` is 2024-03-04 or 2024-04-03. */
  dates: string[][];
  rest: string;
}

const MONTHS: readonly string[] = [
  'january|januar|januari|janvier|enero|gennaio|janeiro|jan|janv|ene|genn',
  'february|februar|februari|fevrier|febrero|febbraio|fevereiro|feb|fevr|febb|fev',
  'march|marz|maerz|maart|mars|marzo|marco|mar|mrz',
  'april|avril|abril|aprile|apr|avr|abr',
  'may|mai|mei|mayo|maggio|maio|magg',
  'june|juni|juin|junio|giugno|junho|jun|giu',
  'july|juli|juillet|julio|luglio|julho|jul|juil|lug',
  'august|augustus|aout|agosto|aug',
  'september|septembre|septiembre|settembre|setembro|sept|sep|sett',
  'october|oktober|octobre|octubre|ottobre|outubro|oct|okt|ott',
  'november|novembre|noviembre|novembro|nov',
  'december|dezember|decembre|diciembre|dicembre|dezembro|dec|dez|dic',
];
const MONTH = `(?<month>${MONTHS.join('|')})(?![a-z])\\.?`;
const YEAR = String.raw`(?<year>\d{4})(?!\d)`;
const DAY = String.raw`(?<![\d.,/])(?<day>\d{1,2})`;
const OF = '(?:of |de |del )?';

/** The ways in which dates are written, the longer before the shorter; over text without accents, in lower case. */
const FORMS: readonly RegExp[] = [
  String.raw`(?<![\d.])(?<year>\d{4})-(?<m>\d{2})(?:-(?<day>\d{2}))?(?![\d-])`,
  String.raw`(?<![\d.])(?<year>\d{4})年(?:\s?(?<m>\d{1,2})月(?:\s?(?<day>\d{1,2})日)?)?`,
  `${DAY}(?:st|nd|rd|th|\\.|er|º)? ?${OF}${MONTH}(?:,? ?${OF}${YEAR})?`,
  `(?<![a-z])${MONTH} (?<day>\\d{1,2})(?:st|nd|rd|th)?(?![\\d.,]\\d|\\d)(?:,? ${YEAR})?`,
  `(?<![a-z])${MONTH},? ${OF}${YEAR}`,
  String.raw`(?<![\d.,/-])(?<year>\d{4})[./](?<m>\d{1,2})[./](?<day>\d{1,2})(?![\d./]\d|\d)`,
  String.raw`(?<![\d.,/-])(?<a>\d{1,2})(?<mark>[./-])(?<b>\d{1,2})\k<mark>(?<year>\d{4}|\d{2})(?![./-]?\d)`,
  String.raw`(?<![\d.,/-])(?<m>\d{1,2})\/(?<year>\d{4})(?![/\d])`,
].map((source) => new RegExp(source, 'g'));

/**
 * Takes the dates out of a text in lower case.
 * @param keep - Whether the figures of a date without its year stay too: `10 may` may be no date.
 */
export function takeDates(text: string, keep: boolean): Dates {
  const dates: string[][] = [];
  let rest = text;
  for (const form of FORMS) {
    rest = rest.replace(form, (...match) => {
      const meant = meanings(match.at(-1) as Record<string, string | undefined>);
      if (meant.length > 0) {
        dates.push(meant);
      }
      return meant.length === 0 || (keep && meant[0]?.startsWith('--')) ? (match[0] as string) : ' ';
    });
  }
  return { dates, rest };
}

/** What a date says: the day, then its month, its year, and the day without its year. */
export function partsOfDate(date: string): string[] {
  const [year = '', month, day] = date.startsWith('--') ? ['', ...date.slice(2).split('-')] : date.split('-');
  const known = [year, month && year && `${year}-${month}`, month && day && `--${month}-${day}`, date];
  return [...new Set(known.filter((part): part is string => part !== undefined && part !== ''))];
}

function meanings({ year, month, m, day, a, b }: Record<string, string | undefined>): string[] {
  const years = year?.length === 2 ? [`20${year}`, `19${year}`] : [year];
  if (a !== undefined && b !== undefined) {
    return years.flatMap((each) => [dateOf(each, b, a), dateOf(each, a, b)].filter((date) => date !== undefined));
  }
  const numbered = m ?? (month && String(MONTHS.findIndex((names) => names.split('|').includes(month)) + 1));
  const date = dateOf(year, numbered, day);
  return date === undefined ? [] : [date];
}

function dateOf(year: string | undefined, month: string | undefined, day: string | undefined): string | undefined {
  const sound =
    (Number(month ?? 1) || 0) <= 12 && Number(month ?? 1) > 0 && Number(day ?? 1) > 0 && Number(day ?? 1) <= 31;
  if (!sound) {
    return undefined;
  }
  const two = (part: string): string => part.padStart(2, '0');
  if (year === undefined) {
    return month && day ? `--${two(month)}-${two(day)}` : undefined;
  }
  return [year, month && two(month), month && day && two(day)].filter((part) => part !== undefined).join('-');
}
