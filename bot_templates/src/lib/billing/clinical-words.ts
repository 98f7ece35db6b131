/** How clinicians shorten what the classification spells out. */
export const ABBREVIATIONS: Readonly<Record<string, string>> = {
  adhd: 'attention deficit hyperactivity',
  af: 'atrial fibrillation',
  afib: 'atrial fibrillation',
  aki: 'acute kidney failure',
  bph: 'benign prostatic hyperplasia enlarged prostate',
  cad: 'atherosclerotic coronary artery',
  chf: 'congestive heart failure',
  ckd: 'chronic kidney disease',
  copd: 'chronic obstructive pulmonary disease',
  cva: 'cerebral infarction',
  dm: 'diabetes mellitus',
  dm1: 'type 1 diabetes mellitus',
  dm2: 'type 2 diabetes mellitus',
  dvt: 'deep vein thrombosis embolism',
  esrd: 'end stage renal',
  gad: 'generalized anxiety',
  gerd: 'gastro esophageal reflux',
  hld: 'hyperlipidemia',
  htn: 'hypertension',
  lbp: 'low back pain',
  mdd: 'major depressive',
  mi: 'myocardial infarction',
  oa: 'osteoarthritis',
  osa: 'obstructive sleep apnea',
  pe: 'pulmonary embolism',
  pna: 'pneumonia',
  ptsd: 'post traumatic stress',
  t1dm: 'type 1 diabetes mellitus',
  t2dm: 'type 2 diabetes mellitus',
  tia: 'transient cerebral ischemic',
  uri: 'upper respiratory infection',
  uti: 'urinary tract infection',
};

/** Words of degree, course and side: a code that has one says more than a code without it. */
export const QUALIFIERS: readonly string[] = [
  'acute',
  'bilateral',
  'chronic',
  'intractable',
  'left',
  'malignant',
  'mild',
  'moderate',
  'morbid',
  'persistent',
  'recurrent',
  'refractory',
  'right',
  'severe',
  'subacute',
];

/** Words that make of a disease something in the past, or of somebody else. */
export const HISTORY: readonly string[] = ['history', 'family'];

/** Words that so many descriptions have that sharing one says nothing. */
export const EVERYWHERE: ReadonlySet<string> = new Set([
  ...QUALIFIERS,
  ...HISTORY,
  ...'affecting age and any associated both by classified classifiable closed complicated complicating'.split(' '),
  ...'complication complications condition conditions current day days disease diseases disorder disorders'.split(' '),
  ...'due during elsewhere encounter end episode essential first following for from functional general'.split(' '),
  ...'hour hours in initial into less level low lower major mellitus month months more multiple nos not of'.split(' '),
  ...'on open or organ organs other others part parts patient personal primary related sequela simple'.split(' '),
  ...'single site sites specified stage status subsequent syndrome than the time to tract type types'.split(' '),
  ...'uncomplicated unilateral unspecified unknown upper use week weeks with without year years'.split(' '),
]);
