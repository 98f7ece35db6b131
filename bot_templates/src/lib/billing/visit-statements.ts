import { type Decisions, OFFICE_VISITS, type PatientStatus } from './office-visit-levels.ts';

/** What a note states of the visit itself, read by plain rules; what is doubtful is left out. */
export interface VisitStatements {
  /** Total minutes, each as it is stated; of a range the lower end. */
  minutes: number[];
  /** Some statement of time is there that cannot be read with certainty. */
  unclearTime: boolean;
  decisions: Decisions[];
  statuses: PatientStatus[];
}

/** Longest sentence that is looked at. */
const LONGEST = 600;

/** Reads what a note states of time, medical decision making, and whether the patient is new. */
export function visitStatements(note: string): VisitStatements {
  const found: VisitStatements = { minutes: [], unclearTime: false, decisions: [], statuses: [] };
  for (const sentence of note.split(/[.;!?](?=\s|$)|\n/).map((each) => each.trim().slice(0, LONGEST).toLowerCase())) {
    const time = timeIn(sentence);
    if (time === 'unclear') {
      found.unclearTime = true;
    } else if (time !== undefined) {
      found.minutes.push(time);
    }
    const decisions = decisionsIn(sentence);
    if (decisions !== undefined) {
      found.decisions.push(decisions);
    }
    found.statuses.push(...statusesIn(sentence));
  }
  return found;
}

const TIME =
  /\btotal (?:(?:visit|encounter|provider|physician|clinician|face[- ]to[- ]face) )?time\b|\bspent a total of\b/;
const OWN_TIME = /\b(?:i|we|provider|physician|clinician) (?:personally )?spent\b/;
const MINUTES = /\b(\d{1,3})\s*(?:(?:-|–|to)\s*(\d{1,3})\s*)?(?:minutes|minute|mins|min)\b/g;
/** Time of something else than the visit, or no number to rely on. */
const OTHER_TIME =
  /\b(?:surg\w{0,8}|operati\w{0,4}|procedure|anesthesia|tourniquet|infusion|injection|fluoroscopy|session)\b/;
const OTHER_WORK =
  /\b(?:therapy|treatment|critical care|smoking|advance care|wait(?:ed|ing)?|travel|staff|nurs\w{1,4}|student)\b/;
const NOT_EXACT =
  /\b(?:approximately|approx|about|around|roughly|nearly|almost|less than|under|up to|not|no|hours?|hrs?)\b|[~<]/;

function timeIn(sentence: string): number | 'unclear' | undefined {
  if (!TIME.test(sentence) && !OWN_TIME.test(sentence)) {
    return undefined;
  }
  const stated = [...sentence.matchAll(MINUTES)];
  if (stated.length === 0) {
    return /\d/.test(sentence) ? 'unclear' : undefined;
  }
  if ([OTHER_TIME, OTHER_WORK, NOT_EXACT].some((pattern) => pattern.test(sentence))) {
    return 'unclear';
  }
  return Math.min(...stated.flatMap(([, low, high]) => [Number(low), ...(high === undefined ? [] : [Number(high)])]));
}

const DECISION_MAKING = /\b(?:mdm|medical decision[- ]making)\b/;
const NOT_STATED = /\b(?:not|no|if|would|could|may|possibly|versus|vs|bill|billing|code as|require[sd]?)\b/;

/** Of several words, as in `low to moderate`, the lowest. */
function decisionsIn(sentence: string): Decisions | undefined {
  if (!DECISION_MAKING.test(sentence) || NOT_STATED.test(sentence)) {
    return undefined;
  }
  return OFFICE_VISITS.levels.find(({ decisions }) => new RegExp(`\\b${decisions}\\b`).test(sentence))?.decisions;
}

function statusesIn(sentence: string): PatientStatus[] {
  const isNew = /\b(?:new patient|patient is new|new to (?:the |this )?(?:clinic|practice))\b/.test(sentence);
  const isEstablished = /\b(?:established patient|patient is established)\b/.test(sentence);
  return [...(isNew ? ['new' as const] : []), ...(isEstablished ? ['established' as const] : [])];
}
