// Which image is open, and bringing back what was open before.
import { api } from "../net/api";
import { untilReachable } from "../net/connection";
import { allDone, resumeQueue, setSession } from "../net/operations";
import { begunHere, sessionOfThisTab } from "../net/own";
import { drawnInOtherTabs } from "../net/tabs";
import { ofProject, state } from "../state";
import { complain, toast } from "../ui/toast";
import type { Id, Picture, Project, Recipe } from "../types";
import { reload } from "./objects";

const LAST = "image";
const CLASS = "class";

state.on(["activeClass"], () => {
  const { activeClass } = state.now;
  if (activeClass !== null) sessionStorage.setItem(ofProject(CLASS), String(activeClass));
});

/** Takes over the project as the server has it now. */
export function adopt(project: Project): void {
  const { project: present } = state.now;
  if (JSON.stringify(project) === JSON.stringify(present)) return;
  if (present && present.id !== project.id) {
    location.reload(); // nothing that is shown belongs to it
    return;
  }
  if (!present) state.set({ project });
  const wanted = String(state.now.activeClass ?? sessionStorage.getItem(ofProject(CLASS)));
  const active = project.classes.find((one) => String(one.id) === wanted) ?? project.classes[0];
  state.set({ project, activeClass: active?.id ?? null });
}

export async function loadProject(): Promise<void> {
  adopt(await untilReachable(() => api.project()));
}

/** Opens what was open last in this tab, else in this browser, else the first image. */
export async function begin(): Promise<void> {
  await loadProject();
  const images = state.now.project?.images ?? [];
  const last = sessionStorage.getItem(ofProject(LAST)) ?? localStorage.getItem(ofProject(LAST));
  const image = images.find((one) => String(one.id) === last) ?? images[0];
  if (image) await openImage(image.id);
  else resumeQueue();
}

export async function openImage(id: Id): Promise<void> {
  const image = await untilReachable(() => api.image(id));
  if (state.now.image) {
    if (state.now.waiting) toast("Waiting for the last click …");
    await allDone();
  }
  sessionStorage.setItem(ofProject(LAST), String(id));
  localStorage.setItem(ofProject(LAST), String(id));
  setSessionAside();
  state.set({ image, objects: new Map(), selected: null, deleted: null });
  state.set({ highlighted: null, pointer: null, pointInfo: null });
  await Promise.all([reload(), bringBackSessions()]);
  resumeQueue();
}

/** Leaves the session open on the server without forgetting, on a reload, which one it was. */
function setSessionAside(): void {
  state.set({ session: null, unfinished: [], lastSeconds: null });
}

async function bringBackSessions(): Promise<void> {
  const { image } = state.now;
  if (!image) return;
  const [open, taken] = await Promise.all([
    untilReachable(() => api.sessions(image.id)),
    drawnInOtherTabs(),
  ]);
  const free = open.filter((one) => !taken(one.id));
  const begun = begunHere();
  // Another browser's are somebody else's: they are listed, to be taken over by hand.
  const own =
    free.find((one) => String(one.id) === sessionOfThisTab()) ??
    free.findLast((one) => begun(one.id)) ??
    null;
  state.set({ unfinished: open.filter((one) => one !== own) });
  setSession(own);
}

/** After the server was away or another tab worked: what is new? */
export async function refresh(): Promise<void> {
  try {
    await Promise.all([loadProject(), reloadImage(), reload()]);
    const { image, session, waiting } = state.now;
    if (!image || waiting) return;
    const open = await untilReachable(() => api.sessions(image.id));
    if (state.now.waiting || state.now.image?.id !== image.id) return;
    const mine = session ? (open.find((one) => one.id === session.id) ?? null) : null;
    state.set({ unfinished: open.filter((one) => one.id !== mine?.id) });
    if (session && JSON.stringify(mine) !== JSON.stringify(session)) setSession(mine);
  } catch (error) {
    complain(error);
  }
}

/** Takes over what the server says of the open image. */
function takeOver(image: Picture): void {
  const { image: before } = state.now;
  if (before?.id !== image.id) return; // another one was opened meanwhile
  if (JSON.stringify(image) !== JSON.stringify(before)) state.set({ image });
}

/** Notices that the file behind the open image was changed, or is broken. */
export async function reloadImage(): Promise<void> {
  const { image } = state.now;
  if (image) takeOver(await untilReachable(() => api.image(image.id)));
}

/** The file as it is now becomes the image; objects stay, their areas may change. */
export async function acceptFile(): Promise<void> {
  const { image } = state.now;
  if (!image) return;
  takeOver(await untilReachable(() => api.acceptFile(image.id)));
  await refresh();
}

const told = new Set<string>();

/** What is broken in an image, and where its place on the ground comes from, is said once. */
state.on(["image"], () => {
  const { image } = state.now;
  if (!image || told.has(String(image.id))) return;
  const place = image.unplaced ?? image.placed_by;
  if (!image.broken && !place) return;
  told.add(String(image.id));
  if (image.broken) toast(image.broken, { bad: true });
  if (place) toast(`${image.name}: ${place}`, { bad: image.unplaced !== null });
});

const guessed = new Set<string>();

/** What is taken for no data in the stretch although the file does not declare it is said once. */
state.on(["image"], () => {
  const { image } = state.now;
  if (!image || image.recipe.fill || guessed.has(image.recipe_hash)) return;
  guessed.add(image.recipe_hash);
  api.stretch(image.id).then(
    ({ fill }) => {
      if (!fill.length || state.now.image?.id !== image.id) return;
      const values = fill.join(" and ");
      toast(`${image.name}: ${values} is taken for no data; "Bands and stretch" changes that`);
    },
    () => undefined, // the tiles say what is wrong
  );
});

export async function addImage(opened: Promise<{ id: Id }>): Promise<void> {
  const { id } = await opened;
  await loadProject();
  await openImage(id);
}

export async function setRecipe(recipe: Recipe): Promise<void> {
  const { image } = state.now;
  if (image) state.set({ image: await api.putRecipe(image.id, recipe) });
}
