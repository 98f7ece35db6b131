import { ADDRESSED_TO_A_MODEL } from './addressed.ts';
import { type PlainText, plainText, UNSEEN, withoutFigures, withoutGaps } from './plain-text.ts';

/**
 * Text in a record that speaks to a model instead of about the patient.
 *
 * It is taken out before a model sees it. This is one guard of several and will never be complete: what holds
 * whatever a model obeys is that it has no tools, that ids come from the bot, and that every claim must be cited.
 */

/** Marks by which chat templates and agents part their turns; in a record they can only deceive. */
const TEMPLATE_MARKS =
  /<[|｜][^|｜>\n]{1,40}[|｜]>|\[\/?(?:INST|SYS|SYSTEM|SYSTEM_PROMPT|TOOL_CALLS|AVAILABLE_TOOLS|TOOL_RESULTS)\]|<<\/?SYS>>|<\/?(?:s|bos|eos|pad|system|assistant|user|start_of_turn|end_of_turn|think|thinking|tool_call|tool_response|function_call)>|^[ \t]*#{1,4}[ \t]*(?:system|assistant|human|user|instructions?|response)[ \t]*(?::[ \t]*)?$/gim;

/** How a played turn begins and ends, by the templates that are common. */
const TURN_MARKS: readonly (readonly [string, string])[] = [
  [
    '<[|｜](?:im_start|start_header_id|start_of_role|system|user|assistant)[|｜]>',
    '<[|｜](?:im_end|eot_id|eom_id|end|end_of_turn|end_of_text|endoftext)[|｜]>',
  ],
  ['\\[INST\\]', '\\[/INST\\]'],
  ['<<SYS>>', '<</SYS>>'],
  ['<start_of_turn>', '<end_of_turn>'],
  ...['system', 'assistant', 'user', 'think', 'thinking', 'tool_call', 'tool_response', 'function_call'].map(
    (name) => [`<${name}>`, `</${name}>`] as const
  ),
];

/** A turn that a record plays, with what is said in it: to its end mark, else to the end of the line. */
const PLAYED_TURN = new RegExp(
  TURN_MARKS.map(([begin, end]) => `${begin}(?:[^]{0,2000}?${end}|[^\\n]*)`).join('|'),
  'gi'
);

/** Marks of our own source blocks, whatever their key. */
const BLOCK_MARKS = /\[[ \t]{0,3}\/?[ \t]{0,3}(?:S\d{1,4}|Q)[ \t]{1,3}[0-9a-f]{6,64}[ \t]{0,3}\]/gi;

/** Lines that name who speaks; one alone is a heading such as `Assistant:` in a report of surgery. */
const TURN = /^[ \t]*(system|human|user|assistant)[ \t]*:/gim;

/** Unbroken runs that no clinical text has, such as encoded payloads. */
const ENCODED = /[A-Za-z0-9+/=_-]{120,}/g;

/** Stands where something was taken out. */
export const REMOVED = '[removed]';

/** Longest piece that is taken out at once. */
const LONGEST_PIECE = 400;

/** A record's text as a model may see it. */
export interface Disarmed {
  text: string;
  /** Sentences and marks that were taken out. */
  removed: number;
}

/**
 * Takes out of a record's text what is not about the patient but addressed to a model.
 *
 * Whole sentences go, so that no half of an order stays; what is left out is marked in its place.
 */
export function disarm(record: string): Disarmed {
  let removed = 0;
  const take = (): string => {
    removed++;
    return REMOVED;
  };
  const visible = withoutTurns(record.normalize('NFC').replace(UNSEEN, ''), take)
    .replace(PLAYED_TURN, take)
    .replace(TEMPLATE_MARKS, take)
    .replace(BLOCK_MARKS, take)
    .replace(ENCODED, (run) => (isEncoded(run) ? take() : run));
  const places = placesAddressed(visible);
  if (places.length === 0) {
    return { text: visible, removed };
  }
  let text = '';
  let taken = false;
  for (const { start, end } of pieces(visible)) {
    const addressed = places.some((place) => place.start < end && place.end > start);
    if (!addressed) {
      text += visible.slice(start, end);
    } else if (!taken) {
      text += take() + trailingSpace(visible.slice(start, end));
    }
    taken = addressed;
  }
  return { text, removed };
}

/** Whether a text speaks to a model. */
export function addressesModel(text: string): boolean {
  return placesAddressed(text.normalize('NFC').replace(UNSEEN, '')).length > 0;
}

/** A stretch of a text, by UTF-16 units. */
interface Place {
  start: number;
  end: number;
}

/** Words of which every order to a model that is worth a disguise has one. */
const TELLTALES = /ignor|disregard|forget|overrid|bypass|reveal|instruct|prompt|approve/g;

/** Where a text speaks to a model, as it stands or in one of the disguises that models see through. */
function placesAddressed(text: string): Place[] {
  const plain = plainText(text);
  const places = placesIn(plain);
  const telltales = countOf(plain);
  for (const reading of [withoutFigures(plain), withoutGaps(plain)]) {
    if (reading !== undefined && countOf(reading) > telltales) {
      places.push(...placesIn(reading));
    }
  }
  return places;
}

function countOf({ text }: PlainText): number {
  return text.match(TELLTALES)?.length ?? 0;
}

function placesIn({ text, at }: PlainText): Place[] {
  const places: Place[] = [];
  for (const pattern of ADDRESSED_TO_A_MODEL) {
    // `matchAll` would make every pattern anew for every text, and most texts match none.
    pattern.lastIndex = 0;
    for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
      // A pattern may begin with the end of the sentence before.
      const lead = /^[^\p{L}\p{N}]*/u.exec(match[0])?.[0].length ?? 0;
      const first = at[match.index + (lead < match[0].length ? lead : 0)] as number;
      const last = at[match.index + match[0].length - 1] as number;
      places.push({ start: first, end: last + 1 });
    }
  }
  return places;
}

/** A text in sentences and lines, each with the space that follows; together they are the text. */
function* pieces(text: string): Generator<Place> {
  let start = 0;
  for (const match of text.matchAll(/[.!?]["')\]]*\s+|[。！？।؟]\s*|\n\s*/g)) {
    yield* shortened(text, start, match.index + match[0].length);
    start = match.index + match[0].length;
  }
  yield* shortened(text, start, text.length);
}

function* shortened(text: string, from: number, to: number): Generator<Place> {
  let start = from;
  while (to - start > LONGEST_PIECE) {
    const space = text.lastIndexOf(' ', start + LONGEST_PIECE);
    const end = space > start ? space + 1 : start + LONGEST_PIECE;
    yield { start, end };
    start = end;
  }
  if (to > start) {
    yield { start, end: to };
  }
}

function trailingSpace(piece: string): string {
  return piece.slice(piece.trimEnd().length);
}

/** A conversation between a user and a model is none of a record's. */
function withoutTurns(text: string, take: () => string): string {
  const speakers = new Set([...text.matchAll(TURN)].map((match) => match[1]?.toLowerCase()));
  const talk = speakers.has('assistant') ? speakers.size > 1 : speakers.has('system') && speakers.size > 1;
  return talk ? text.replace(TURN, take) : text;
}

/** Letters and figures mixed; a line of dashes is none. */
function isEncoded(run: string): boolean {
  return /[a-z]/i.test(run) && new Set(run).size > 12;
}
