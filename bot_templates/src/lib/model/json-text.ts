/** What models think aloud before they answer; an unclosed thought takes the rest with it. */
const THOUGHT = /<(think|thinking|reasoning|reflection)>[\s\S]*?(?:<\/\1>|$)/gi;
/** Some routers cut off where a thought begins: what precedes its end is no answer. */
const END_OF_THOUGHT = /<\/(?:think|thinking|reasoning|reflection)>/gi;

/** Longest answer that is looked at; anything beyond is no answer to the bots' schemas. */
const GREATEST_LENGTH = 200_000;

/**
 * The JSON values in a model's answer, best first: the whole text, then each balanced object in prose, the longest
 * first. Thoughts are removed before.
 */
export function jsonValues(answer: string): unknown[] {
  const text = withoutThoughts(answer.slice(0, GREATEST_LENGTH)).trim();
  const whole = parse(text);
  if (isObject(whole)) {
    return [whole];
  }
  // JSON within JSON: the answer as a text, or as the only item of a list.
  const inner = typeof whole === 'string' ? whole : text;
  const found = balancedObjects(inner).sort((one, other) => other.length - one.length);
  return [...found.map(parse), whole].filter((value) => value !== undefined);
}

function withoutThoughts(text: string): string {
  const spoken = text.replace(THOUGHT, '');
  const ends = [...spoken.matchAll(END_OF_THOUGHT)];
  const last = ends.at(-1);
  return last === undefined ? spoken : spoken.slice(last.index + last[0].length);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Places where an object is looked for: each may cost a pass over the text, and a spin blocks the server. */
const MOST_STARTS = 50;

/** The outermost `{…}` of a text that are JSON, braces within JSON strings not counted. */
function balancedObjects(text: string): string[] {
  const found: string[] = [];
  let start = text.indexOf('{');
  for (let looked = 0; start >= 0 && looked < MOST_STARTS; looked++) {
    const end = closingBrace(text, start);
    const object = end === undefined ? undefined : text.slice(start, end + 1);
    const sound = object !== undefined && parse(object) !== undefined;
    if (sound) {
      found.push(object);
    }
    // Within braces that are no JSON there may be some that are.
    start = text.indexOf('{', (sound ? (end as number) : start) + 1);
  }
  return found;
}

function closingBrace(text: string, start: number): number | undefined {
  let depth = 0;
  let quoted = false;
  for (let position = start; position < text.length; position++) {
    const character = text[position];
    if (quoted) {
      if (character === '\\') {
        position++;
      } else if (character === '"') {
        quoted = false;
      }
    } else if (character === '"') {
      quoted = true;
    } else if (character === '{') {
      depth++;
    } else if (character === '}' && --depth === 0) {
      return position;
    }
  }
  return undefined;
}
