/**
 * Levels of an office or other outpatient visit, by total time on its day or by medical decision making.
 *
 * Numbers only: CPT's descriptions are licensed.
 */
export const OFFICE_VISITS = {
  date: '2024-01-01',
  source: 'CPT 2024 (levels by time or decision making since 2021): the minutes must be met or exceeded',
  levels: [
    {
      level: 2,
      decisions: 'straightforward',
      new: { code: '99202', minutes: 15 },
      established: { code: '99212', minutes: 10 },
    },
    { level: 3, decisions: 'low', new: { code: '99203', minutes: 30 }, established: { code: '99213', minutes: 20 } },
    {
      level: 4,
      decisions: 'moderate',
      new: { code: '99204', minutes: 45 },
      established: { code: '99214', minutes: 30 },
    },
    { level: 5, decisions: 'high', new: { code: '99205', minutes: 60 }, established: { code: '99215', minutes: 40 } },
  ],
  /** The level below all of them, which minutes and decision making never prove. */
  lowest: { level: 1, code: '99211' },
  /** Minutes from which a further code for the time beyond may be due: a person's to decide. */
  prolonged: { new: 75, established: 55 },
} as const;

export type PatientStatus = 'new' | 'established';
export type Decisions = (typeof OFFICE_VISITS.levels)[number]['decisions'];

/** The level that minutes reach; 0 when they reach none. */
export function levelByMinutes(minutes: number, status: PatientStatus): number {
  return OFFICE_VISITS.levels.findLast((each) => minutes >= each[status].minutes)?.level ?? 0;
}

/** The level of stated medical decision making. */
export function levelByDecisions(decisions: Decisions): number {
  return OFFICE_VISITS.levels.find((each) => each.decisions === decisions)?.level ?? 0;
}

/** The code of a level from 1 to 5. */
export function codeOfLevel(level: number, status: PatientStatus): string {
  return OFFICE_VISITS.levels.find((each) => each.level === level)?.[status].code ?? OFFICE_VISITS.lowest.code;
}

/** What the code of an office visit says; undefined for any other code. */
export function visitOf(code: string): { level: number; status: PatientStatus } | undefined {
  if (code === OFFICE_VISITS.lowest.code) {
    return { level: OFFICE_VISITS.lowest.level, status: 'established' };
  }
  const statuses = ['new', 'established'] as const;
  return statuses
    .flatMap((status) => OFFICE_VISITS.levels.map((each) => ({ level: each.level, status, code: each[status].code })))
    .find((each) => each.code === code);
}

/** Codes that state the level or length of a visit: in an office, hospital, emergency room, institution or home. */
const LEVELLED = [
  [99202, 99215],
  [99221, 99239],
  [99242, 99255],
  [99281, 99285],
  [99304, 99316],
  [99341, 99360],
  [99415, 99418],
] as const;

/** Whether a CPT code states the level of a visit. */
export function isVisitLevel(code: string): boolean {
  return LEVELLED.some(([first, last]) => Number(code) >= first && Number(code) <= last);
}
