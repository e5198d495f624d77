export default function ({ data, parentElement }) {
  const groups = [
    ["The read", data.reading],
    ["Mouse, touchpad and fingers", POINTER_ROWS],
    ...KEY_TABLE.map(([title, rows]) => [title, rows]),
  ];
  parentElement.querySelector(".keys").replaceChildren(...groups.map(sheetGroup));
}
