"""systems/ and tasks/ are top-level folders of the repository but install inside the package."""

from setuptools import find_namespace_packages, find_packages, setup

MAPPED = {"tspbench.systems": "systems", "tspbench.tasks": "tasks"}

setup(
    package_dir=MAPPED,
    packages=[
        *find_packages(include=["tspbench", "tspbench.*"]),
        *MAPPED,
        *(f"{package}.{found}" for package, folder in MAPPED.items() for found in find_namespace_packages(folder)),
    ],
)
